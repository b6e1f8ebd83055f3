// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qfuture.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qpromise.h>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#    include <coroutine>
#endif

namespace AmqpQt
{

template <typename T>
class Result;

namespace Internal
{

[[noreturn]] AMQPQT_EXPORT void failValueOfError(const Error &error);
AMQPQT_EXPORT const Error &noResult(); // one for all replies that are not finished

class Continuations;

// What is to happen once. Given the reply instead of holding it: a reply that never ends would keep itself alive.
class AMQPQT_EXPORT Continuation
{
public:
    Continuation() = default;
    Continuation(const Continuation &) = delete;
    Continuation &operator=(const Continuation &) = delete;
    virtual ~Continuation();
    virtual void run(const Continuations &reply) = 0;
};

// What is to happen when a reply is finished: the part of a reply that does not depend on its type. A shared_ptr owns
// it.
class AMQPQT_EXPORT Continuations : public std::enable_shared_from_this<Continuations>
{
public:
    // Direct: from the dispatch loop. Posted: by events to the contexts, where no dispatch loop is there to do it.
    enum class Delivery { Direct, Posted };

    Continuations();
    Continuations(const Continuations &) = delete;
    Continuations &operator=(const Continuations &) = delete;
    ~Continuations();

    bool isFinished() const noexcept { return m_finished; }
    void add(QObject *context, std::unique_ptr<Continuation> continuation); // not run once context is gone
    void add(std::unique_ptr<Continuation> continuation);                   // always run
    void addFuture(std::unique_ptr<Continuation> continuation);             // run by finish(), without an event loop
    void finish(Delivery delivery);

private:
    struct Entry {
        std::optional<QPointer<QObject>> context; // unset: it needs none
        std::unique_ptr<Continuation> continuation;
        bool isFuture = false;
    };
    void add(Entry entry);
    void post(Entry entry);

    std::vector<Entry> m_entries;
    bool m_finished = false;
};

template <typename T>
struct ReplyState : Continuations {
    Result<T> result;
};

template <typename T, typename F>
class ContinuationOf final : public Continuation
{
public:
    template <typename G>
    explicit ContinuationOf(G &&function)
        : m_function(std::forward<G>(function))
    {
    }
    void run(const Continuations &reply) override
    {
        if constexpr (std::is_invocable_v<F &, const Result<T> &>)
            m_function(static_cast<const ReplyState<T> &>(reply).result);
        else
            m_function();
    }

private:
    F m_function;
};

template <typename T, typename F>
std::unique_ptr<Continuation> continuation(F &&function)
{
    return std::make_unique<ContinuationOf<T, std::decay_t<F>>>(std::forward<F>(function));
}

struct ReplyAccess;

} // namespace Internal

template <typename T>
class Result
{
public:
    Result()
        : m_value(Internal::noResult())
    {
    }
    Result(T value)
        : m_value(std::in_place_index<0>, std::move(value))
    {
    }
    Result(Error error)
        : m_value(std::in_place_index<1>, std::move(error))
    {
        Q_ASSERT_X(std::get_if<1>(&m_value)->isError(), "AmqpQt::Result", "neither a value nor an error");
    }

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
    T operator*() && { return std::move(*this).value(); }
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
    Result(Error error)
        : m_error(std::move(error))
    {
    }

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
        using Function = std::decay_t<F> &;
        static_assert(std::is_invocable_v<Function, const Result<T> &> || std::is_invocable_v<Function>,
                      "the function takes a const Result<T> &, or nothing");
        m_state->add(context, Internal::continuation<T>(std::forward<F>(f)));
        return *this;
    }

    QFuture<Result<T>> toFuture() const
    {
        QPromise<Result<T>> promise;
        auto future = promise.future();
        promise.start();
        auto publish = [promise = std::move(promise)](const Result<T> &result) mutable {
            promise.addResult(result);
            promise.finish();
        };
        if (isFinished())
            publish(m_state->result);
        else
            m_state->addFuture(Internal::continuation<T>(std::move(publish)));
        return future;
    }

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
    auto operator co_await() const
    {
        class Awaiter
        {
        public:
            explicit Awaiter(std::shared_ptr<Internal::ReplyState<T>> state)
                : m_state(std::move(state))
            {
            }
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
                m_state->add(Internal::continuation<T>([waiting = m_waiting] {
                    if (*waiting)
                        std::exchange(*waiting, nullptr).resume();
                }));
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
    explicit Reply(std::shared_ptr<Internal::ReplyState<T>> state)
        : m_state(std::move(state))
    {
    }

    std::shared_ptr<Internal::ReplyState<T>> m_state;
};

} // namespace AmqpQt
