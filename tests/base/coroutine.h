// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/reply.h>

#include <QtCore/qstringlist.h>

#include <coroutine>

namespace AmqpQt::Test
{

// A minimal coroutine type, whose coroutine starts at once and whose destructor destroys the frame.
class Task
{
public:
    struct promise_type {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };

    Task(Task &&other) noexcept
        : m_handle(std::exchange(other.m_handle, nullptr))
    {
    }
    Task(const Task &) = delete;
    Task &operator=(const Task &) = delete;
    ~Task()
    {
        if (m_handle)
            m_handle.destroy();
    }
    bool isDone() const { return m_handle.done(); }

private:
    explicit Task(std::coroutine_handle<promise_type> handle)
        : m_handle(handle)
    {
    }

    std::coroutine_handle<promise_type> m_handle;
};

inline Task append(Reply<int> reply, QStringList *log)
{
    const Result<int> result = co_await reply;
    *log += result ? QString::number(*result) : result.error().toString();
}

} // namespace AmqpQt::Test
