// SPDX-License-Identifier: MIT
#include <AmqpQt/reply.h>

#include "base/logging_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qthread.h>

#include <optional>
#include <vector>

namespace AmqpQt::Internal
{

void failValueOfError(const Error &error)
{
    qFatal("AmqpQt::Result::value() was called on an error: %s", qUtf8Printable(error.toString()));
}

const Error &noResult()
{
    static const Error error(ErrorKind::Cancelled, QStringLiteral("there is no result"));
    return error;
}

Continuation::~Continuation() = default;

class ReplyStateBasePrivate
{
public:
    struct Entry {
        std::optional<QPointer<QObject>> context; // unset if no context is needed
        std::unique_ptr<Continuation> continuation;
        bool isFuture = false;
    };

    static void add(ReplyStateBase &reply, Entry entry);
    static void post(ReplyStateBase &reply, Entry entry);

    Entry first; // most replies have a single continuation, which then needs no further allocation
    std::vector<Entry> others;
};

void ReplyStateBasePrivate::add(ReplyStateBase &reply, Entry entry)
{
    if (reply.m_finished)
        post(reply, std::move(entry));
    else if (reply.d)
        reply.d->others.push_back(std::move(entry));
    else
        reply.d.reset(new ReplyStateBasePrivate{std::move(entry), {}});
}

void ReplyStateBasePrivate::post(ReplyStateBase &reply, Entry entry)
{
    QObject *const target = entry.context ? entry.context->data() : QAbstractEventDispatcher::instance();
    if (target) {
        // Shared, since a queued functor has to be copyable.
        const std::shared_ptr<Continuation> continuation = std::move(entry.continuation);
        QMetaObject::invokeMethod(
            target, [self = reply.shared_from_this(), continuation] { continuation->run(*self); },
            Qt::QueuedConnection);
    } else if (!entry.context) {
        entry.continuation->run(reply);
    }
}

ReplyStateBase::ReplyStateBase() = default;

ReplyStateBase::~ReplyStateBase() = default;

void ReplyStateBase::add(QObject *context, std::unique_ptr<Continuation> continuation)
{
    if (!context) {
        qCWarning(lcConnection, "Reply::then() was called without a context; its function will never be called");
        return;
    }
    ReplyStateBasePrivate::add(*this, {QPointer<QObject>(context), std::move(continuation)});
}

void ReplyStateBase::add(std::unique_ptr<Continuation> continuation)
{
    ReplyStateBasePrivate::add(*this, {std::nullopt, std::move(continuation)});
}

void ReplyStateBase::addFuture(std::unique_ptr<Continuation> continuation)
{
    ReplyStateBasePrivate::add(*this, {std::nullopt, std::move(continuation), true});
}

void ReplyStateBase::finish(Delivery delivery)
{
    if (m_finished)
        return;
    m_finished = true;

    const auto self = shared_from_this(); // a continuation may drop the last handle
    const std::unique_ptr<ReplyStateBasePrivate> entries = std::move(d);
    if (!entries)
        return;
    const auto run = [this, delivery](ReplyStateBasePrivate::Entry &entry) {
        if (entry.context && entry.context->isNull())
            return;
        const bool isHere = !entry.context || (*entry.context)->thread() == QThread::currentThread();
        if (entry.isFuture || (delivery == Delivery::Direct && isHere))
            entry.continuation->run(*this);
        else
            ReplyStateBasePrivate::post(*this, std::move(entry));
    };
    run(entries->first);
    for (ReplyStateBasePrivate::Entry &entry : entries->others)
        run(entry);
}

DependentBase::DependentBase()
    : m_thread(QAbstractEventDispatcher::instance())
{
}

DependentBase::~DependentBase() = default;

Error DependentBase::cancelled()
{
    return Error(ErrorKind::Cancelled,
                 QStringLiteral("the context of the function was deleted before it could be called"));
}

void DependentBase::inThread(ReplyStateBase::Delivery delivery, std::function<void(ReplyStateBase::Delivery)> finish)
{
    if (m_thread && m_thread->thread() != QThread::currentThread()) {
        QMetaObject::invokeMethod(
            m_thread, [finish = std::move(finish)] { finish(ReplyStateBase::Delivery::Direct); }, Qt::QueuedConnection);
    } else {
        finish(delivery);
    }
}

} // namespace AmqpQt::Internal

namespace AmqpQt
{

/*!
    \class AmqpQt::Result
    \inheaderfile AmqpQt/Reply
    \inmodule AmqpQt
    \since 0.1
    \brief Contains the value of a call or the Error that occurred instead.

    Provides the subset of C++23's \c{std::expected<T, Error>} that replies need, with the standard's names. A
    default-constructed Result is an error of kind ErrorKind::Cancelled. \c Result<void> has no value() and is
    successful when default-constructed.
*/

/*!
    \fn template <typename T> AmqpQt::Result<T>::Result()

    Constructs an error of kind ErrorKind::Cancelled; for \c void, a success.
*/

/*!
    \fn template <typename T> AmqpQt::Result<T>::Result(T value)

    Constructs a result that holds \a value.
*/

/*!
    \fn template <typename T> AmqpQt::Result<T>::Result(Error error)

    Constructs a result without a value, for the reason \a error. An \a error of kind ErrorKind::NoError means success
    for \c void, and fails an assertion for other types.
*/

/*!
    \fn template <typename T> bool AmqpQt::Result<T>::has_value() const

    Returns \c true if there is a value and no error.
*/

/*!
    \fn template <typename T> AmqpQt::Result<T>::operator bool() const

    Returns the same as has_value().
*/

/*!
    \fn template <typename T> const T &AmqpQt::Result<T>::value() const &

    Returns the value. If there is an error instead, the program is aborted, in release builds as well, with a message
    that contains the text of the error.
*/

/*!
    \fn template <typename T> T AmqpQt::Result<T>::value() &&
    \overload
*/

/*!
    \fn template <typename T> const T &AmqpQt::Result<T>::operator*() const &

    Returns the same as value().
*/

/*!
    \fn template <typename T> T AmqpQt::Result<T>::operator*() &&
    \overload
*/

/*!
    \fn template <typename T> const T *AmqpQt::Result<T>::operator->() const

    Returns the address of value().
*/

/*!
    \fn template <typename T> const Error &AmqpQt::Result<T>::error() const

    Returns the error, or one of kind ErrorKind::NoError if there is a value.
*/

/*!
    \class AmqpQt::Reply
    \inheaderfile AmqpQt/Reply
    \inmodule AmqpQt
    \since 0.1
    \brief Represents the answer to a call sent to the broker.

    A reply is a small shared handle: copies refer to the same answer, and dropping a handle has no effect on the call.
    A reply is finished exactly once, always with a Result, from the event loop of the thread its Connection lives in.
    It must be used in that thread; other threads use toFuture().

    There are three ways to wait:

    \code
    channel->declareQueue(u"orders"_s).then(this, [](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) { … });
    const AmqpQt::Result<AmqpQt::QueueInfo> queue = co_await channel->declareQueue(u"orders"_s); // C++20
    const QFuture<AmqpQt::Result<AmqpQt::QueueInfo>> future = channel->declareQueue(u"orders"_s).toFuture();
    \endcode

    \c co_await works in any coroutine type that takes a plain awaiter. A coroutine that is destroyed while it waits is
    not resumed. There is no way to cancel a call, and no blocking wait.

    \section1 When something is deleted

    The destructors of Connection, Channel, Consumer and Publisher finish the replies that would stay unfinished, and
    their futures, before they return. So another thread that waits for such a future continues, although the thread of
    the connection may no longer run an event loop. No code of the application runs inside a destructor. The event loop
    of the context's thread calls functions that were passed to then(), and the event loop of the connection's thread
    resumes coroutines. Without an event loop neither happens.
*/

/*!
    \fn template <typename T> bool AmqpQt::Reply<T>::isFinished() const

    Returns \c true once there is a result(). Functions given to then() may still be waiting for their turn.
*/

/*!
    \fn template <typename T> const Result<T> &AmqpQt::Reply<T>::result() const

    Returns the result of a finished reply. Must not be called before, see isFinished().
*/

/*!
    \fn template <typename T> template <typename F> auto AmqpQt::Reply<T>::then(QObject *context, F &&f) const

    Calls \a f with the result when the reply is finished, in the thread of \a context. \a f is called with a
    \c{const Result<T> &} or without arguments; it need not be copyable. It may do anything: delete \a context, the
    channel or the connection, drop the last handle of the reply, add further functions.

    If \a f returns nothing, so does then(). Otherwise then() returns a new reply, as QFuture::then() returns a future:

    \list
    \li If \a f returns a value or a Result, the new reply is finished with it.
    \li If \a f returns a Reply, the new reply is finished with the result of the returned reply. So calls can be
        chained:
        \code
        channel->declareTemporaryQueue()
            .then(this, [channel](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
                return channel->bindQueue(queue ? queue->name : QString(), u"logs"_s);
            })
            .then(this, [](const AmqpQt::Result<void> &bound) { … });
        \endcode
    \li If \a f is never called, because \a context was deleted or is null, the new reply ends with
        ErrorKind::Cancelled.
    \endlist

    The new reply belongs to the thread that called then().

    Any number of functions can be added; those of one thread are called in the order they were added. On a reply that
    is finished already \a f is called later, by the event loop, never from inside then(). Once \a context is deleted
    \a f is not called. A \a context in another thread than the reply's must not be deleted while the reply is
    unfinished. Without a \a context \a f is never called, and a warning is logged.
*/

/*!
    \fn template <typename T> QFuture<Result<T>> AmqpQt::Reply<T>::toFuture() const

    Returns a future for other threads and for QtFuture::whenAll(). It finishes when the reply does, with the same
    result. A destructor finishes it without an event loop. Waiting for it in the thread of the connection blocks
    forever, since that thread has to finish it. A function that is given to QFuture::then() without a context is called
    where the future is finished, which may be inside the destructor of the connection.
*/

} // namespace AmqpQt
