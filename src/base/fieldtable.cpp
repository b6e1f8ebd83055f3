// SPDX-License-Identifier: MIT
#include <AmqpQt/fieldtable.h>

#include <cmath>

namespace AmqpQt
{

/*!
    \typedef AmqpQt::FieldTable
    \relates AmqpQt::Message

    A field table of AMQP 0-9-1 (section 4.2.5.5), such as the headers of a message, the arguments of a declaration or
    the properties of a peer. It is a QVariantMap; the type of each value determines its type on the wire:

    \table
    \header \li QMetaType \li Wire \li Meaning there
    \row \li Bool \li \c t \li boolean
    \row \li SChar, Char \li \c b \li signed 8-bit integer
    \row \li UChar \li \c B \li unsigned 8-bit integer
    \row \li Short \li \c s \li signed 16-bit integer
    \row \li UShort \li \c u \li unsigned 16-bit integer
    \row \li Int \li \c I \li signed 32-bit integer
    \row \li UInt \li \c i \li unsigned 32-bit integer
    \row \li LongLong, Long; ULongLong and ULong up to 2⁶³-1 \li \c l \li signed 64-bit integer
    \row \li Float \li \c f \li 32-bit floating point, finite
    \row \li Double \li \c d \li 64-bit floating point, finite
    \row \li \l Decimal \li \c D \li decimal
    \row \li QString \li \c S \li text, UTF-8
    \row \li QByteArray \li \c x \li bytes
    \row \li QDateTime \li \c T \li whole seconds since 1970 in UTC; fractions are cut off, earlier times rejected
    \row \li QVariantList, QStringList \li \c A \li array
    \row \li QVariantMap, QVariantHash \li \c F \li table
    \row \li an invalid QVariant, \c std::nullptr_t \li \c V \li void
    \endtable

    Other types are rejected with ErrorKind::InvalidArgument; see validate(). Keys have at most 255 bytes of UTF-8;
    tables and lists may be nested 32 levels deep, including the outermost table.

    Received tables contain the same types, with these differences:

    \list
    \li \c l and \c L give a LongLong, \c s and \c U a Short, \c V a \c std::nullptr_t.
    \li \c S gives a QString, or a QByteArray where the bytes are not valid UTF-8.
    \li \c T gives a QDateTime in UTC, or a ULongLong with the seconds if QDateTime cannot hold them (after the year
        292278994).
    \li If a key occurs several times, the last value is used. Bytes in a key that are not UTF-8 are kept, see
        textFromBytes().
    \li Floating point values may be NaN or infinite.
    \endlist

    A received table that has not been changed is forwarded byte for byte. Headers of a message that are nested too
    deeply or otherwise malformed are not decoded, see Message::hasUndecodedHeaders().
*/

/*!
    \class AmqpQt::Decimal
    \inheaderfile AmqpQt/FieldTable
    \inmodule AmqpQt
    \since 0.1
    \brief A decimal number in a \l FieldTable: value × 10 to the power of -scale.

    In QML a Decimal has the properties \c scale and \c value, and the functions toDouble() and toString().

    RabbitMQ reads the value as an unsigned number; some other clients read it as a signed one.
*/

/*!
    \variable AmqpQt::Decimal::scale
    \brief the number of decimal places.
*/

/*!
    \variable AmqpQt::Decimal::value
    \brief the number without its decimal point.
*/

/*!
    Returns the number as the nearest \c double: \c{Decimal{2, 314}} gives 3.14.
*/
double Decimal::toDouble() const noexcept
{
    return double(value) / std::pow(10.0, scale);
}

/*!
    Returns the number as text, with all of its decimal places: \c{Decimal{2, 1230}} gives "12.30".
*/
QString Decimal::toString() const
{
    QString digits = QString::number(value).rightJustified(scale + 1, u'0');
    if (scale > 0)
        digits.insert(digits.size() - scale, u'.');
    return digits;
}

/*!
    \fn bool AmqpQt::Decimal::operator==(AmqpQt::Decimal a, AmqpQt::Decimal b)

    Returns \c true if \a a and \a b have the same scale and value: 1.0 and 1.00 differ.
*/

} // namespace AmqpQt
