// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qfuture.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qpromise.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#    include <coroutine>
#endif

namespace AmqpQt
{

template <typename T>
class Result;
template <typename T>
class Reply;

namespace Internal
{

[[noreturn]] AMQPQT_EXPORT void failValueOfError(const Error &error);
AMQPQT_EXPORT const Error &noResult(); // shared by all unfinished replies

class ReplyStateBase;
class ReplyStateBasePrivate;

// Runs once. The reply is passed in rather than held, since a reply that never finishes would keep itself alive.
class AMQPQT_EXPORT Continuation
{
public:
    Continuation() = default;
    Continuation(const Continuation &) = delete;
    Continuation &operator=(const Continuation &) = delete;
    virtual ~Continuation();
    virtual void run(const ReplyStateBase &reply) = 0;
};

// The part of a reply's state that does not depend on its type: the continuations that run when the reply is finished.
// A shared_ptr owns it.
class AMQPQT_EXPORT ReplyStateBase : public std::enable_shared_from_this<ReplyStateBase>
{
public:
    // Direct: continuations run inside finish(), which the dispatch loop calls. Posted: events to the contexts run
    // them.
    enum class Delivery { Direct, Posted };

    ReplyStateBase();
    ReplyStateBase(const ReplyStateBase &) = delete;
    ReplyStateBase &operator=(const ReplyStateBase &) = delete;
    ~ReplyStateBase();

    bool isFinished() const noexcept { return m_finished; }
    void add(QObject *context, std::unique_ptr<Continuation> continuation); // not run once context is gone
    void add(std::unique_ptr<Continuation> continuation);                   // always run
    void addFuture(std::unique_ptr<Continuation> continuation);             // run by finish(), without an event loop
    void finish(Delivery delivery);

private:
    friend class ReplyStateBasePrivate;

    std::unique_ptr<ReplyStateBasePrivate> d; // created with the first continuation
    bool m_finished = false;
};

template <typename T>
struct ReplyState : ReplyStateBase {
    Result<T> result;
};

template <typename T, typename Function>
decltype(auto) callWith(Function &function, const Result<T> &result)
{
    if constexpr (std::is_invocable_v<Function &, const Result<T> &>)
        return function(result);
    else
        return function();
}

template <typename T, typename F>
class ContinuationOf final : public Continuation
{
public:
    explicit ContinuationOf(F function)
        : m_function(std::move(function))
    {
    }
    void run(const ReplyStateBase &reply) override
    {
        callWith<T>(m_function, static_cast<const ReplyState<T> &>(reply).result);
    }

private:
    F m_function;
};

template <typename T, typename F>
std::unique_ptr<Continuation> continuation(F &&function)
{
    return std::make_unique<ContinuationOf<T, std::decay_t<F>>>(std::forward<F>(function));
}

// Finishes a reply that depends on a continuation, in the thread in which it was created; with Cancelled if the
// continuation is destroyed without running.
class AMQPQT_EXPORT DependentBase
{
public:
    DependentBase(const DependentBase &) = delete;
    DependentBase &operator=(const DependentBase &) = delete;

protected:
    DependentBase();
    DependentBase(DependentBase &&) noexcept = default;
    ~DependentBase();

    static Error cancelled();
    // Calls `finish` at once in this thread if the delivery is Direct, otherwise from the thread's event loop.
    void inThread(ReplyStateBase::Delivery delivery, std::function<void(ReplyStateBase::Delivery)> finish);

private:
    QPointer<QObject> m_thread; // the event dispatcher of the thread
};

template <typename T>
class Dependent : public DependentBase
{
public:
    explicit Dependent(std::shared_ptr<ReplyState<T>> state)
        : m_state(std::move(state))
    {
    }
    Dependent(Dependent &&) noexcept = default;
    ~Dependent()
    {
        if (m_state)
            finish(cancelled(), ReplyStateBase::Delivery::Posted);
    }

    void finish(Result<T> result, ReplyStateBase::Delivery delivery = ReplyStateBase::Delivery::Direct)
    {
        inThread(delivery, [state = std::exchange(m_state, {}), result = std::move(result)](auto how) mutable {
            state->result = std::move(result);
            state->finish(how);
        });
    }

private:
    std::shared_ptr<ReplyState<T>> m_state;
};

// Maps the return type of a continuation to the type of reply that then() returns.
template <typename Returned>
struct Unwrapped {
    using Type = Returned;
};
template <typename T>
struct Unwrapped<Result<T>> {
    using Type = T;
};
template <typename T>
struct Unwrapped<Reply<T>> {
    using Type = T;
};

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
    auto then(QObject *context, F &&f) const
    {
        using Function = std::decay_t<F>;
        static_assert(std::is_invocable_v<Function &, const Result<T> &> || std::is_invocable_v<Function &>,
                      "the function takes a const Result<T> &, or nothing");
        using Returned = std::decay_t<decltype(Internal::callWith<T>(std::declval<Function &>(),
                                                                     std::declval<const Result<T> &>()))>;
        if constexpr (std::is_void_v<Returned>) {
            m_state->add(context, Internal::continuation<T>(std::forward<F>(f)));
        } else {
            using Next = typename Internal::Unwrapped<Returned>::Type;
            auto state = std::make_shared<Internal::ReplyState<Next>>();
            m_state->add(context, Internal::continuation<T>(
                                      [function = Function(std::forward<F>(f)),
                                       next = Internal::Dependent<Next>(state)](const Result<T> &result) mutable {
                                          if constexpr (std::is_same_v<Returned, Reply<Next>>)
                                              Internal::callWith<T>(function, result).finishDependent(std::move(next));
                                          else
                                              next.finish(Internal::callWith<T>(function, result));
                                      }));
            return Reply<Next>(std::move(state));
        }
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
    template <typename Other>
    friend class Reply;
    explicit Reply(std::shared_ptr<Internal::ReplyState<T>> state)
        : m_state(std::move(state))
    {
    }

    void finishDependent(Internal::Dependent<T> next) const
    {
        if (isFinished())
            next.finish(m_state->result);
        else
            m_state->add(Internal::continuation<T>(
                [next = std::move(next)](const Result<T> &result) mutable { next.finish(result); }));
    }

    std::shared_ptr<Internal::ReplyState<T>> m_state;
};

} // namespace AmqpQt
