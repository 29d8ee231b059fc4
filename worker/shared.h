/*
 * Memory that others write while we look: the guest's, and what the front-end maps too. Each access to it is a race by
 * nature, so there is no way to it but these: words by atomics, bytes by one copy, which alone is judged. A pointer to
 * it is marked SHARED, and clang refuses to follow one (-Wnoderef). Of what the kernel does there nothing is seen here.
 */
#pragma once

#include "copy.h"

#include <stdint.h>
#include <sys/uio.h>

#if __has_attribute(noderef)
#define SHARED __attribute__((noderef))
#else
#define SHARED
#endif

/* Whatever is said to lie there. */
typedef uint32_t __attribute__((may_alias)) shared_u32;
typedef uint64_t __attribute__((may_alias)) shared_u64;

/* Aligned words in the order of bytes that they have; `order` is one of __ATOMIC_*. */
static inline uint8_t shared_load8(const uint8_t SHARED *at, int order)
{
        return __atomic_load_n(at, order);
}

static inline void shared_store8(uint8_t SHARED *at, uint8_t value, int order)
{
        __atomic_store_n(at, value, order);
}

static inline uint16_t shared_load16(const uint16_t SHARED *at, int order)
{
        return __atomic_load_n(at, order);
}

static inline void shared_store16(uint16_t SHARED *at, uint16_t value, int order)
{
        __atomic_store_n(at, value, order);
}

static inline uint32_t shared_load32(const shared_u32 SHARED *at, int order)
{
        return __atomic_load_n(at, order);
}

static inline void shared_store32(shared_u32 SHARED *at, uint32_t value, int order)
{
        __atomic_store_n(at, value, order);
}

static inline uint64_t shared_load64(const shared_u64 SHARED *at, int order)
{
        return __atomic_load_n(at, order);
}

static inline void shared_store64(shared_u64 SHARED *at, uint64_t value, int order)
{
        __atomic_store_n(at, value, order);
}

/* Copies a descriptor, 16 bytes aligned to 8: two loads, no more. */
static inline void shared_read_desc(void *to, const void SHARED *from)
{
        const shared_u64 SHARED *half = from;
        const uint64_t copy[2] = { shared_load64(half, __ATOMIC_RELAXED), shared_load64(half + 1, __ATOMIC_RELAXED) };

        memcpy(to, copy, sizeof(copy));
}

/*
 * What the kernel takes: the one way out of the mark. Whoever uses the pointer himself must go through shared.h again.
 */
static inline struct iovec shared_part(void SHARED *at, size_t n)
{
        return (struct iovec){ (void *) at, n };
}

/*
 * The thread sanitizer sees the private side of a copy only. What the guest does to the other one is no race of ours,
 * not even where it makes two of our threads meet.
 */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line); /* writes as well */
void AnnotateIgnoreReadsEnd(const char *file, int line);
void __tsan_read_range(void *from, long n);
void __tsan_write_range(void *to, long n);
#define TSAN(call) (call)
#else
#define TSAN(call) ((void) 0)
#endif

/* Copies n bytes in. The barrier: the compiler cannot take from the source again what the copy is asked for. */
static inline void shared_read(void *to, const void SHARED *from, size_t n)
{
        TSAN(AnnotateIgnoreReadsBegin(__FILE__, __LINE__));
        copy_few(to, (const void *) from, n);
        TSAN(AnnotateIgnoreReadsEnd(__FILE__, __LINE__));
        TSAN(__tsan_write_range(to, (long) n));
        __asm__ volatile("" : : "r"(to) : "memory");
}

/* Copies n bytes out. */
static inline void shared_write(void SHARED *to, const void *from, size_t n)
{
        TSAN(__tsan_read_range((void *) (uintptr_t) from, (long) n));
        TSAN(AnnotateIgnoreReadsBegin(__FILE__, __LINE__));
        copy_few((void *) to, from, n);
        TSAN(AnnotateIgnoreReadsEnd(__FILE__, __LINE__));
}

static inline void shared_zero(void SHARED *to, size_t n)
{
        TSAN(AnnotateIgnoreReadsBegin(__FILE__, __LINE__));
        memset((void *) to, 0, n);
        TSAN(AnnotateIgnoreReadsEnd(__FILE__, __LINE__));
}
