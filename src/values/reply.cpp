// SPDX-License-Identifier: MIT
#include <AmqpQt/reply.h>

#include "values/logging_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qthread.h>

namespace AmqpQt::Internal
{

void failValueOfError(const Error &error)
{
    qFatal("AmqpQt::Result::value() of an error: %s", qUtf8Printable(error.toString()));
}

const Error &noResult()
{
    static const Error error(ErrorKind::Cancelled, QStringLiteral("No result"));
    return error;
}

Continuation::~Continuation() = default;

Continuations::Continuations() = default;

Continuations::~Continuations() = default;

void Continuations::add(QObject *context, std::unique_ptr<Continuation> continuation)
{
    if (!context) {
        qCWarning(lcConnection, "Reply::then() without a context: its function is never called");
        return;
    }
    add(Entry{QPointer<QObject>(context), std::move(continuation)});
}

void Continuations::add(std::unique_ptr<Continuation> continuation)
{
    add(Entry{std::nullopt, std::move(continuation)});
}

void Continuations::addFuture(std::unique_ptr<Continuation> continuation)
{
    add(Entry{std::nullopt, std::move(continuation), true});
}

void Continuations::add(Entry entry)
{
    if (m_finished)
        post(std::move(entry));
    else
        m_entries.push_back(std::move(entry));
}

void Continuations::finish(Delivery delivery)
{
    if (m_finished)
        return;
    m_finished = true;

    const auto self = shared_from_this(); // a continuation may drop the last handle
    for (Entry &entry : std::exchange(m_entries, {})) {
        if (entry.context && entry.context->isNull())
            continue;
        const bool here = !entry.context || (*entry.context)->thread() == QThread::currentThread();
        if (entry.isFuture || (delivery == Delivery::Direct && here))
            entry.continuation->run(*this);
        else
            post(std::move(entry));
    }
}

void Continuations::post(Entry entry)
{
    QObject *const target = entry.context ? entry.context->data() : QAbstractEventDispatcher::instance();
    if (target) {
        // Shared, since a queued functor has to be copyable.
        const std::shared_ptr<Continuation> continuation = std::move(entry.continuation);
        QMetaObject::invokeMethod(
            target, [self = shared_from_this(), continuation] { continuation->run(*self); }, Qt::QueuedConnection);
    } else if (!entry.context) {
        entry.continuation->run(*this);
    }
}

} // namespace AmqpQt::Internal

namespace AmqpQt
{

/*!
    \class AmqpQt::Result
    \inheaderfile AmqpQt/Reply
    \inmodule AmqpQt
    \brief The value that a call was made for, or the Error that came instead.

    The subset of C++23's \c{std::expected<T, Error>} that replies need, under the standard's names. A
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

    Constructs a result without a value, for the reason \a error, which has to be an error: one of kind
    ErrorKind::NoError is asserted against, but for \c void, where it means success.
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

    Returns the value. Called on an error it ends the program, in every build, with a message that has the error's text.
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
    \brief The answer to one call that goes to the broker.

    A small shared handle: copies are about the same answer, and dropping it has no effect on the call. A reply is
    finished exactly once, always with a Result, from the event loop of the thread its Connection lives in. It is to be
    used in that thread; other threads take toFuture().

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
    the connection may no longer run an event loop. No code of the application runs inside a destructor: functions given
    to then() are called by the event loop of the thread of their context, and coroutines are resumed by that of the
    thread of the connection. Without an event loop neither happens.
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
    \fn template <typename T> template <typename F> const Reply &AmqpQt::Reply<T>::then(QObject *context, F &&f) const

    Calls \a f with the result when the reply is finished, in the thread of \a context, and returns this reply. \a f is
    called with a \c{const Result<T> &} or without arguments; it need not be copyable. It may do anything: delete
    \a context, the channel or the connection, drop the last handle of the reply, add further functions.

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
