// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace AmqpQt
{

// A value that the first thread to use it creates; later reads take no lock.
template <typename T>
class Lazy
{
public:
    Lazy() = default;
    Lazy(const Lazy &other)
        : m_value(copyOf(other.get()))
    {
    }
    Lazy &operator=(const Lazy &) = delete;
    ~Lazy() { delete m_value.load(std::memory_order_relaxed); }

    const T *get() const noexcept { return m_value.load(std::memory_order_acquire); }

    // Returns the stored value. If two threads store a value at the same time, the first one wins.
    const T &publish(T value) const
    {
        auto made = std::make_unique<T>(std::move(value));
        T *present = nullptr;
        if (m_value.compare_exchange_strong(present, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
            return *made.release();
        return *present;
    }

    // Only for the sole owner.
    T &set(T value)
    {
        reset();
        publish(std::move(value));
        return *m_value.load(std::memory_order_relaxed);
    }
    T *edit() noexcept { return m_value.load(std::memory_order_relaxed); }
    void reset() { delete m_value.exchange(nullptr, std::memory_order_relaxed); }

private:
    static T *copyOf(const T *value) { return value ? new T(*value) : nullptr; }

    mutable std::atomic<T *> m_value = nullptr;
};

} // namespace AmqpQt
