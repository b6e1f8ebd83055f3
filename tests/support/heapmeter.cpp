// SPDX-License-Identifier: MIT
#include "support/heapmeter.h"

#include <QtCore/qfile.h>

#include <atomic>
#include <cerrno>
#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define USES_SANITIZER_HOOKS
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define USES_SANITIZER_HOOKS
#    endif
#endif

namespace
{

std::atomic<qint64> liveBytes{0};
std::atomic<qint64> peakBytes{0};
thread_local qint64 liveBytesOfThread = 0;

void allocated(size_t size)
{
    liveBytesOfThread += qint64(size);
    const qint64 live = liveBytes += qint64(size);
    qint64 peak = peakBytes;
    while (live > peak && !peakBytes.compare_exchange_weak(peak, live)) {
    }
}

void freed(size_t size)
{
    liveBytesOfThread -= qint64(size);
    liveBytes -= qint64(size);
}

} // namespace

#ifdef USES_SANITIZER_HOOKS

// <sanitizer/allocator_interface.h>, which GCC does not install
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*mallocHook)(const volatile void *, size_t),
                                                         void (*freeHook)(const volatile void *));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void *memory);

namespace
{

const int hooksInstalled =
    __sanitizer_install_malloc_and_free_hooks([](const volatile void *, size_t size) { allocated(size); },
                                              [](const volatile void *memory) {
                                                  if (memory)
                                                      freed(__sanitizer_get_allocated_size(memory));
                                              });

} // namespace

#else

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier)
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);
// NOLINTEND(bugprone-reserved-identifier)

[[gnu::visibility("default")]] void *malloc(size_t size)
{
    void *memory = __libc_malloc(size);
    allocated(malloc_usable_size(memory));
    return memory;
}

[[gnu::visibility("default")]] void *calloc(size_t count, size_t size)
{
    void *memory = __libc_calloc(count, size);
    allocated(malloc_usable_size(memory));
    return memory;
}

[[gnu::visibility("default")]] void *realloc(void *old, size_t size)
{
    const size_t before = malloc_usable_size(old);
    void *memory = __libc_realloc(old, size);
    if (memory || size == 0) {
        allocated(malloc_usable_size(memory)); // counted first, as if both blocks had existed at the same time
        freed(before);
    }
    return memory;
}

[[gnu::visibility("default")]] void *memalign(size_t alignment, size_t size)
{
    void *memory = __libc_memalign(alignment, size);
    allocated(malloc_usable_size(memory));
    return memory;
}

[[gnu::visibility("default")]] void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

[[gnu::visibility("default")]] int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

[[gnu::visibility("default")]] void free(void *memory)
{
    freed(malloc_usable_size(memory));
    __libc_free(memory);
}

} // extern "C"

#endif

HeapMeter::HeapMeter()
    : m_before(liveBytes)
    , m_beforeInThread(liveBytesOfThread)
{
    peakBytes = m_before;
}

qint64 HeapMeter::peak() const
{
    return peakBytes - m_before;
}

qint64 HeapMeter::live() const
{
    return liveBytes - m_before;
}

qint64 HeapMeter::liveInThread() const
{
    return liveBytesOfThread - m_beforeInThread;
}

qint64 residentMemory()
{
    QFile status(QStringLiteral("/proc/self/status"));
    if (!status.open(QIODevice::ReadOnly))
        return 0;
    const QByteArray text = status.readAll();
    const QByteArray key = "VmRSS:";
    const qsizetype at = text.indexOf(key);
    const QByteArray line = at < 0 ? QByteArray() : text.mid(at + key.size(), text.indexOf('\n', at) - at - key.size());
    return line.trimmed().split(' ').constFirst().toLongLong() * 1024; // "1234 kB"
}
