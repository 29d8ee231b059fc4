/*
 * Preloaded into User-Mode Linux: lets it set the extended register state of its processes. UML 6.1 reserves a fixed
 * size for that state, and the kernel refuses any but the full size, which on a CPU with AMX is larger: UML's first
 * process dies with "ptrace set fp regs failed". What UML gives is laid over the state as it is, then set in full.
 */
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long set_part(enum __ptrace_request request, pid_t pid, void *note, const struct iovec *part)
{
        static _Alignas(64) char full[16384];   /* UML calls this on small kernel stacks, never twice at once */
        struct iovec iov = { full, sizeof full };
        long ret = syscall(SYS_ptrace, PTRACE_GETREGSET, pid, note, &iov);

        if (ret || part->iov_len > iov.iov_len)
                return syscall(SYS_ptrace, request, pid, note, part);
        memcpy(full, part->iov_base, part->iov_len);
        return syscall(SYS_ptrace, request, pid, note, &iov);
}

long ptrace(enum __ptrace_request request, ...)
{
        va_list ap;
        va_start(ap, request);
        pid_t pid = va_arg(ap, pid_t);
        void *addr = va_arg(ap, void *);
        void *data = va_arg(ap, void *);
        va_end(ap);

        if (request == PTRACE_SETREGSET && (uintptr_t) addr == NT_X86_XSTATE)
                return set_part(request, pid, addr, data);

        /* As libc's wrapper does: the kernel stores what is peeked through the pointer, the caller wants it returned. */
        long peeked;
        int peeks = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER;
        long ret = syscall(SYS_ptrace, request, pid, addr, peeks ? (void *) &peeked : data);

        return peeks && ret == 0 ? peeked : ret;
}
