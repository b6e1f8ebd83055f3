// SPDX-License-Identifier: MIT
#include <AmqpQt/error.h>

#include <QtCore/qdebug.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qshareddata.h>
#include <QtCore/qstringlist.h>

using namespace Qt::StringLiterals;

namespace AmqpQt
{

class ErrorPrivate : public QSharedData
{
public:
    ErrorPrivate(ErrorKind errorKind, QString errorText, quint16 code, QString methodName)
        : text(std::move(errorText))
        , method(std::move(methodName))
        , replyCode(code)
        , kind(errorKind)
    {
    }

    const QString text;
    const QString method;
    const quint16 replyCode;
    const ErrorKind kind;
};

namespace
{

// The text may come from the broker. In one line and without control characters, it cannot forge log entries.
QString inOneLine(const QString &text)
{
    QString result;
    result.reserve(text.size());
    for (const QChar c : text) {
        if (c == u'\n')
            result += "\\n"_L1;
        else if (c == u'\r')
            result += "\\r"_L1;
        else if (c == u'\t')
            result += "\\t"_L1;
        else if (c.category() == QChar::Other_Control || c == QChar::LineSeparator || c == QChar::ParagraphSeparator)
            result += u"\\u%1"_s.arg(uint(c.unicode()), 4, 16, QLatin1Char('0'));
        else
            result += c;
    }
    return result;
}

QLatin1StringView nameOf(ErrorKind kind)
{
    return QLatin1StringView(QMetaEnum::fromType<ErrorKind>().valueToKey(int(kind)));
}

} // namespace

/*!
    \class AmqpQt::Error
    \inheaderfile AmqpQt/Error
    \inmodule AmqpQt
    \since 0.1
    \brief Describes an error by a kind, for decisions, and the peer's text, for display.

    Errors are values. They arrive in signals such as Connection::errorOccurred() and in every Result that has no value.
    A default-constructed Error represents success.

    Use kind() for decisions in code. replyCode() and text() are those of \c connection.close, \c channel.close or
    \c basic.return if the broker reported the error (AMQP 0-9-1, section 1.2, lists the codes), and method() names the
    AMQP method that the error is about. Text from the broker is returned unchanged; toString() and the QDebug operator
    escape it, so that it can be logged.

    An Error may be copied and read in any thread.
*/

/*!
    \fn AmqpQt::Error::Error()

    Constructs an object without an error, for which isError() returns \c false.
*/

/*!
    Constructs an error of the given \a kind with an explanatory \a text, the AMQP \a replyCode (0 if there is none) and
    the AMQP \a method that it is about, such as \c "queue.declare" (empty if there is none).
*/
Error::Error(ErrorKind kind, QString text, quint16 replyCode, QString method)
    : d(new ErrorPrivate(kind, std::move(text), replyCode, std::move(method)))
{
    d->ref.ref();
}

void Error::retain() const noexcept
{
    d->ref.ref();
}

void Error::release() noexcept
{
    if (!d->ref.deref())
        delete d;
}

ErrorKind Error::kind() const noexcept
{
    return d ? d->kind : ErrorKind::NoError;
}

quint16 Error::replyCode() const noexcept
{
    return d ? d->replyCode : quint16(0);
}

QString Error::text() const
{
    return d ? d->text : QString();
}

QString Error::method() const
{
    return d ? d->method : QString();
}

bool operator==(const Error &a, const Error &b) noexcept
{
    return a.d == b.d ||
           (a.kind() == b.kind() && a.replyCode() == b.replyCode() && a.text() == b.text() && a.method() == b.method());
}

/*!
    \property AmqpQt::Error::kind
    \brief the kind of error, for decisions in code.
*/

/*!
    \property AmqpQt::Error::replyCode
    \brief the AMQP reply code, such as 404 or 406, or 0 if the error has none.
*/

/*!
    \property AmqpQt::Error::text
    \brief the broker's reply text, or the library's own explanation in English.
*/

/*!
    \property AmqpQt::Error::method
    \brief the AMQP method that the error is about, such as \c "queue.declare"; empty if it is not known.
*/

/*!
    \fn bool AmqpQt::Error::isError() const

    Returns \c true unless kind() is ErrorKind::NoError.
*/

/*!
    Returns \c true if connecting again may help, that is, if the network failed, an operation timed out, a message was
    left unconfirmed by a lost connection, or the broker closed the connection for an internal reason, such as 320
    (connection forced). Returns \c false if another attempt would fail in the same way, for example because of wrong
    credentials, a virtual host without access, a violation of the protocol or an invalid argument.
*/
bool Error::isRecoverable() const noexcept
{
    switch (kind()) {
    case ErrorKind::Network:
    case ErrorKind::Timeout:
    case ErrorKind::Unconfirmed:
        return true;
    case ErrorKind::ConnectionClosed:
        switch (replyCode()) {
        case 402: // invalid-path
        case 403: // access-refused
        case 501: // frame-error
        case 502: // syntax-error
        case 503: // command-invalid
        case 504: // channel-error
        case 505: // unexpected-frame
        case 530: // not-allowed
        case 540: // not-implemented
            return false;
        default:
            return true;
        }
    case ErrorKind::NoError:
    case ErrorKind::InvalidArgument:
    case ErrorKind::NotOpen:
    case ErrorKind::BufferFull:
    case ErrorKind::Cancelled:
    case ErrorKind::StaleDelivery:
    case ErrorKind::Tls:
    case ErrorKind::Authentication:
    case ErrorKind::ChannelClosed:
    case ErrorKind::ConsumerCancelled:
    case ErrorKind::MessageTooLarge:
    case ErrorKind::Returned:
    case ErrorKind::Nacked:
    case ErrorKind::ProtocolViolation:
        return false;
    }
    return false;
}

/*!
    Returns the whole error in one line for display and logs, such as \c{queue.declare: NOT_FOUND - no queue 'x' in
    vhost '/' (404, ChannelClosed)}. Missing parts are omitted. Control characters are escaped. Without an error the
    result is \c "NoError".
*/
QString Error::toString() const
{
    if (!isError())
        return nameOf(kind());

    QString result;
    if (!method().isEmpty())
        result += inOneLine(method()) + ": "_L1;
    if (!text().isEmpty())
        result += inOneLine(text()) + u' ';
    result += u'(';
    if (replyCode())
        result += QString::number(replyCode()) + ", "_L1;
    return result + nameOf(kind()) + u')';
}

/*!
    \fn bool AmqpQt::Error::operator==(const AmqpQt::Error &a, const AmqpQt::Error &b)

    Returns \c true if \a a and \a b have the same kind, reply code, text and method.
*/

/*!
    \fn bool AmqpQt::Error::operator!=(const AmqpQt::Error &a, const AmqpQt::Error &b)

    Returns \c true if \a a and \a b differ in kind, reply code, text or method.
*/

/*!
    \fn QDebug AmqpQt::Error::operator<<(QDebug debug, const AmqpQt::Error &error)

    Writes \a error to \a debug, escaped and in one line.
*/
QDebug operator<<(QDebug debug, const Error &error)
{
    const QDebugStateSaver saver(debug);
    debug.nospace().noquote() << "AmqpQt::Error(" << error.toString() << ')';
    return debug;
}

/*!
    \namespace AmqpQt
    \inmodule AmqpQt
    \since 0.1
    \brief All names of the AMQP 0-9-1 client library.
*/

/*!
    \enum AmqpQt::DeliveryMode

    Specifies whether the broker writes a message to disk (the property \c delivery-mode of class \c basic).

    \value Transient A restart of the broker may lose the message.
    \value Persistent The message survives a restart if its queue is durable.
*/

/*!
    \enum AmqpQt::AckMode

    Specifies how deliveries are settled (the argument \c no-ack of \c basic.consume and \c basic.get).

    \value Manual The application settles each message with ack or nack; until then the broker keeps it.
    \value AfterDelivery The library acks a message when the slots of Consumer::delivered() or
           Consumer::batchDelivered() have returned and have not settled it. A message that arrives while no slot is
           connected is kept until one is. Channel::get() rejects this mode.
    \value NoAck The broker forgets a message as soon as it has written it to the socket.
*/

/*!
    \enum AmqpQt::Requeue

    Determines whether a rejected delivery is requeued (the argument \c requeue of \c basic.nack and \c basic.reject).

    \value No The message is dropped or goes to the queue's dead letter exchange.
    \value Yes The message goes back to its queue.
*/

/*!
    \enum AmqpQt::BackpressureReason

    The reasons why a publisher should wait. A combination is of type BackpressureReasons.

    \value BrokerBlocked The broker is short of memory or disk (\c connection.blocked).
    \value WriteBufferFull The bytes that are still unsent passed ConnectionParameters::highWatermark() and are not yet
           below ConnectionParameters::lowWatermark() again.
    \value ChannelFlow The broker asked this channel to pause (\c channel.flow).
    \value ConfirmWindowFull As many messages are unconfirmed as the channel's confirm window allows.
*/

/*!
    \enum AmqpQt::ErrorKind

    Describes the kind of an error. See AmqpQt::Error.

    \value NoError There is no error.
    \value InvalidArgument A call had an argument that cannot be sent; nothing was sent.
    \value NotOpen The connection or channel is closed; nothing was sent.
    \value BufferFull The waiting bytes would exceed ConnectionParameters::bufferLimit() or Publisher::outboxLimit();
           nothing was sent.
    \value Timeout Connecting, a heartbeat, an answer or closing took too long.
    \value Cancelled The application closed or deleted the object that the call or message belongs to.
    \value StaleDelivery A delivery was settled too late or twice; nothing was sent.
    \value Network Look-up, connecting or the TCP connection failed.
    \value Tls The TLS handshake or the verification of the peer failed.
    \value Authentication The broker refused the login, or offers no mechanism that the library supports.
    \value ConnectionClosed The broker closed the connection; Error::replyCode() has the reason.
    \value ChannelClosed The broker closed the channel; Error::replyCode() has the reason.
    \value ConsumerCancelled The broker ended the subscription, usually because its queue was deleted (\c basic.cancel).
    \value MessageTooLarge A message from the broker was larger than ConnectionParameters::maximumMessageSize(), or its
           content header was larger than 1 MiB and the negotiated frame size.
    \value Returned A mandatory message had no route (\c basic.return).
    \value Nacked The broker did not take responsibility for a published message (\c basic.nack).
    \value Unconfirmed Channel or connection ended first: the broker may or may not have the message.
    \value ProtocolViolation The peer broke the rules of AMQP 0-9-1.
*/

} // namespace AmqpQt
