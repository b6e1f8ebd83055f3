// SPDX-License-Identifier: MIT
#include "engine/arguments/knownarguments_p.h"

#include <algorithm>
#include <limits>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

namespace
{

constexpr qint64 AnyNumber = std::numeric_limits<qint64>::max();
constexpr qint64 TenYears = 315'360'000'000; // in milliseconds, RabbitMQ's limit

bool isInteger(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::Char:
    case QMetaType::SChar:
    case QMetaType::UChar:
    case QMetaType::Short:
    case QMetaType::UShort:
    case QMetaType::Int:
    case QMetaType::UInt:
    case QMetaType::Long:
    case QMetaType::LongLong:
    case QMetaType::ULong:
    case QMetaType::ULongLong:
        return true;
    default:
        return false;
    }
}

bool isText(const QVariant &value)
{
    return value.typeId() == QMetaType::QString;
}

QString needed(QLatin1StringView what, const QVariant &value)
{
    return u"the value must be %1, but its type is %2"_s.arg(
        what, QLatin1StringView(value.isValid() ? value.typeName() : "void"));
}

template <qint64 Minimum, qint64 Maximum>
QString integer(const QVariant &value)
{
    if (!isInteger(value))
        return needed("an integer"_L1, value);
    const qint64 number = value.toLongLong();
    if (number < Minimum)
        return u"%1 is out of range; the minimum is %2"_s.arg(number).arg(Minimum);
    if (number > Maximum)
        return u"%1 is out of range; the maximum is %2"_s.arg(number).arg(Maximum);
    return {};
}

QString anyInteger(const QVariant &value)
{
    return integer<std::numeric_limits<qint64>::min(), AnyNumber>(value);
}

QString boolean(const QVariant &value)
{
    return value.typeId() == QMetaType::Bool ? QString() : needed("a bool"_L1, value);
}

// RabbitMQ accepts names that are too long for an exchange or a queue, and drops the messages.
QString text(const QVariant &value)
{
    return isText(value) ? QString() : needed("a string"_L1, value);
}

QString oneOf(const QStringList &possible, const QVariant &value)
{
    return isText(value) && possible.contains(value.toString())
               ? QString()
               : u"\"%1\" is not one of %2"_s.arg(value.toString(), possible.join(u", "_s));
}

QString overflow(const QVariant &value)
{
    return oneOf({u"drop-head"_s, u"reject-publish"_s, u"reject-publish-dlx"_s}, value);
}

QString deadLetterStrategy(const QVariant &value)
{
    return oneOf({u"at-most-once"_s, u"at-least-once"_s}, value);
}

QString delayedRetryType(const QVariant &value)
{
    return oneOf({u"disabled"_s, u"all"_s, u"failed"_s, u"returned"_s}, value);
}

QString leaderLocator(const QVariant &value)
{
    return oneOf({u"client-local"_s, u"balanced"_s, u"random"_s, u"least-leaders"_s, u"min-masters"_s}, value);
}

// For any other value RabbitMQ 3.10 ends the connection, as RabbitMQ 4.3 does for every value.
QString masterLocator(const QVariant &value)
{
    return oneOf({u"client-local"_s, u"random"_s, u"min-masters"_s}, value);
}

// Returns whether the text is an interval such as "90s".
bool isInterval(const QString &text)
{
    const auto isDigit = [](QChar c) { return c >= u'0' && c <= u'9'; };
    const auto isZero = [](QChar c) { return c == u'0'; };
    return text.size() > 1 && u"YMDhms"_s.contains(text.back()) && std::all_of(text.begin(), text.end() - 1, isDigit) &&
           !std::all_of(text.begin(), text.end() - 1, isZero);
}

QString interval(const QVariant &value)
{
    return isText(value) && isInterval(value.toString())
               ? QString()
               : u"\"%1\" is not an interval such as 7D, a number above 0 followed by Y, M, D, h, m or s"_s.arg(
                     value.toString());
}

QString streamOffset(const QVariant &value)
{
    if (isInteger(value) || value.typeId() == QMetaType::QDateTime) // encodeTable() checks the range
        return {};
    const bool isName = isText(value) || value.typeId() == QMetaType::QByteArray; // an interval must be a string
    const QString text = isName ? value.toString() : QString();
    return text == "first"_L1 || text == "last"_L1 || text == "next"_L1 || (isText(value) && isInterval(text))
               ? QString()
               : u"\"%1\" is not one of first, last, next, a number, a QDateTime, or an interval such as 1h"_s.arg(
                     value.toString());
}

} // namespace

std::span<const KnownArgument> queueArguments()
{
    static constexpr KnownArgument arguments[] = {
        {"x-message-ttl"_L1, integer<0, TenYears>},
        {"x-expires"_L1, integer<1, TenYears>},
        {"x-max-length"_L1, integer<0, AnyNumber>},
        {"x-max-length-bytes"_L1, integer<0, AnyNumber>},
        {"x-overflow"_L1, overflow},
        {"x-dead-letter-exchange"_L1, text},
        {"x-dead-letter-routing-key"_L1, text},
        {"x-dead-letter-strategy"_L1, deadLetterStrategy},
        {"x-max-priority"_L1, integer<0, 255>},
        {"x-single-active-consumer"_L1, boolean},
        {"x-queue-type"_L1, text},
        {"x-queue-version"_L1, integer<1, 2>},
        {"x-queue-leader-locator"_L1, leaderLocator},
        {"x-queue-master-locator"_L1, masterLocator},
        {"x-max-in-memory-length"_L1, integer<0, AnyNumber>},
        {"x-max-in-memory-bytes"_L1, integer<0, AnyNumber>},
        {"x-quorum-initial-group-size"_L1, integer<1, AnyNumber>},
        {"x-initial-cluster-size"_L1, integer<1, AnyNumber>},
        {"x-max-age"_L1, interval},
        {"x-stream-max-segment-size-bytes"_L1, integer<0, 3'000'000'000>},
        {"x-delayed-retry-type"_L1, delayedRetryType},
        {"x-delayed-retry-min"_L1, integer<0, AnyNumber>},
        {"x-delayed-retry-max"_L1, integer<0, AnyNumber>},
    };
    return arguments;
}

std::span<const KnownArgument> exchangeArguments()
{
    static constexpr KnownArgument arguments[] = {{"alternate-exchange"_L1, text}};
    return arguments;
}

std::span<const KnownArgument> consumeArguments()
{
    static constexpr KnownArgument arguments[] = {
        {"x-priority"_L1, anyInteger},
        {"x-stream-offset"_L1, streamOffset},
    };
    return arguments;
}

} // namespace AmqpQt::Engine
