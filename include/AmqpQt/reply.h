// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qfuture.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qpromise.h>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#  include <coroutine>
#endif

namespace AmqpQt {

template <typename T>
class Result;

namespace Internal {

[[noreturn]] AMQPQT_EXPORT void failValueOfError(const Error &error);

// What is to happen when a reply is finished. The part of a reply that does not depend on its type.
class AMQPQT_EXPORT Continuations
{
public:
    // Direct: from the dispatch loop. Posted: by events to the contexts, where no dispatch loop is there to do it.
    enum class Delivery { Direct, Posted };

    bool isFinished() const noexcept { return m_finished; }
    void add(QObject *context, std::function<void()> run);  // not run once context is gone
    void add(std::function<void()> run);                    // always run
    void finish(Delivery delivery);

private:
    struct Entry
    {
        QPointer<QObject> context;
        bool needsContext = false;
        std::function<void()> run;
    };
    static void post(Entry entry);

    std::vector<Entry> m_entries;
    bool m_finished = false;
};

template <typename T>
struct ReplyState : Continuations
{
    Result<T> result;
};

struct ReplyAccess;

} // namespace Internal

template <typename T>
class Result
{
public:
    Result() : m_value(Error(ErrorKind::Cancelled, QStringLiteral("No result"))) {}
    Result(T value) : m_value(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : m_value(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return m_value.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    const T &value() const &
    {
        if (!has_value())
            Internal::failValueOfError(*std::get_if<1>(&m_value));
        return *std::get_if<0>(&m_value);
    }
    T value() &&
    {
        if (!has_value())
            Internal::failValueOfError(*std::get_if<1>(&m_value));
        return std::move(*std::get_if<0>(&m_value));
    }
    const T &operator*() const & { return value(); }
    const T *operator->() const { return &value(); }
    const Error &error() const noexcept
    {
        static const Error noError;
        return has_value() ? noError : *std::get_if<1>(&m_value);
    }

private:
    std::variant<T, Error> m_value;
};

template <>
class Result<void>
{
public:
    Result() = default;
    Result(Error error) : m_error(std::move(error)) {}

    bool has_value() const noexcept { return !m_error.isError(); }
    explicit operator bool() const noexcept { return has_value(); }
    const Error &error() const noexcept { return m_error; }

private:
    Error m_error;
};

template <typename T>
class Reply
{
public:
    bool isFinished() const noexcept { return m_state->isFinished(); }

    const Result<T> &result() const
    {
        Q_ASSERT_X(isFinished(), "AmqpQt::Reply::result", "the reply is not finished yet");
        return m_state->result;
    }

    template <typename F>
    const Reply &then(QObject *context, F &&f) const
    {
        m_state->add(context, [state = m_state, f = std::forward<F>(f)]() mutable {
            if constexpr (std::is_invocable_v<F &, const Result<T> &>)
                f(std::as_const(state->result));
            else
                f();
        });
        return *this;
    }

    QFuture<Result<T>> toFuture() const
    {
        auto promise = std::make_shared<QPromise<Result<T>>>();
        promise->start();
        const auto publish = [promise, state = m_state] {
            promise->addResult(state->result);
            promise->finish();
        };
        if (isFinished())
            publish();
        else
            m_state->add(publish);
        return promise->future();
    }

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
    auto operator co_await() const
    {
        class Awaiter
        {
        public:
            explicit Awaiter(std::shared_ptr<Internal::ReplyState<T>> state) : m_state(std::move(state)) {}
            Awaiter(const Awaiter &) = delete;
            Awaiter &operator=(const Awaiter &) = delete;
            ~Awaiter()
            {
                if (m_waiting)
                    *m_waiting = nullptr; // the coroutine was destroyed while it waited
            }
            bool await_ready() const noexcept { return m_state->isFinished(); }
            void await_suspend(std::coroutine_handle<> coroutine)
            {
                m_waiting = std::make_shared<std::coroutine_handle<>>(coroutine);
                m_state->add([waiting = m_waiting] {
                    if (*waiting)
                        std::exchange(*waiting, nullptr).resume();
                });
            }
            Result<T> await_resume() const { return m_state->result; }

        private:
            std::shared_ptr<Internal::ReplyState<T>> m_state;
            std::shared_ptr<std::coroutine_handle<>> m_waiting;
        };
        return Awaiter(m_state);
    }
#endif

private:
    friend struct Internal::ReplyAccess;
    explicit Reply(std::shared_ptr<Internal::ReplyState<T>> state) : m_state(std::move(state)) {}

    std::shared_ptr<Internal::ReplyState<T>> m_state;
};

} // namespace AmqpQt
