// SPDX-License-Identifier: MIT
#include "wire/fieldtable_p.h"

#include <AmqpQt/fieldtable.h>

namespace AmqpQt
{

/*!
    \relates AmqpQt::Message

    Returns \a bytes of a peer as text. Valid UTF-8 is decoded, and each other byte \e b becomes the unpaired surrogate
    U+DC00 + \e b. So no byte is lost, and textToBytes() returns the same bytes. AMQP's short strings are UTF-8 by the
    specification, but RabbitMQ does not check those of a message, and other clients put binary identifiers there. All
    text of a received message is converted this way.

    This function is thread-safe.
*/
QString textFromBytes(QByteArrayView bytes)
{
    return Wire::decodeText(bytes);
}

/*!
    \relates AmqpQt::Message

    Returns the bytes of \a text on the wire: UTF-8, except that the unpaired surrogates of textFromBytes() become the
    bytes that they stand for. Other unpaired surrogates, which calls reject, become U+FFFD.

    \code
    const QByteArray id = AmqpQt::textToBytes(request.correlationId()); // for example the 16 bytes of a UUID
    \endcode

    This function is thread-safe.
*/
QByteArray textToBytes(const QString &text)
{
    return Wire::encodeText(text).value_or(text.toUtf8());
}

/*!
    Checks whether \a table can be sent, as each call that takes a field table does before anything is queued.

    Returns an error of kind ErrorKind::NoError if the table can be sent. Otherwise returns an
    ErrorKind::InvalidArgument whose text contains the first invalid key and the reason: a type that has no counterpart
    in AMQP (see \l FieldTable), NaN or an infinity, an integer over 2⁶³-1, an invalid QDateTime or one before 1970, a
    key over 255 bytes of UTF-8, text with an unpaired surrogate, tables and lists nested more than 32 levels deep, more
    than 4 GiB. Whether the table fits the frame size of a connection is known to that connection only.

    This function is thread-safe.
*/
Error validate(const FieldTable &table)
{
    return Wire::encodeTable(table, {}).error();
}

} // namespace AmqpQt
