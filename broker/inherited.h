/*
 * What whoever started the broker left open in it.
 */
#pragma once

/*
 * Closes every descriptor but 0 to 2, those that systemd passed and `fd` (-1: none), so that nothing a careless parent
 * left open gets into a broker that runs for months. -errno.
 */
int inherited_close(int fd);
