/*
 * Parking, by a mutex and a condition: cold.
 */
#include "park.h"

void park_init(struct park *park)
{
        pthread_mutex_init(&park->lock, NULL);
        pthread_cond_init(&park->changed, NULL);
        atomic_init(&park->wanted, false);
        park->parked = 0;
}

void park_close(struct park *park, unsigned n)
{
        pthread_mutex_lock(&park->lock);
        while (park->parked < n)
                pthread_cond_wait(&park->changed, &park->lock);
        pthread_mutex_unlock(&park->lock);
}

void park_open(struct park *park)
{
        pthread_mutex_lock(&park->lock);
        atomic_store(&park->wanted, false);
        pthread_cond_broadcast(&park->changed);
        pthread_mutex_unlock(&park->lock);
}

void park_here(struct park *park)
{
        pthread_mutex_lock(&park->lock);
        park->parked++;
        pthread_cond_broadcast(&park->changed);
        while (park_wanted(park))
                pthread_cond_wait(&park->changed, &park->lock);
        park->parked--;
        pthread_mutex_unlock(&park->lock);
}
