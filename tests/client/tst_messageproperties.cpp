// SPDX-License-Identifier: MIT
#include "client/stringproperties.h"
#include "support/messages.h"

#include "wire/contentheader_p.h"

#include <QtCore/qtimezone.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

Error publishError(const Message &message)
{
    Error error;
    return MessageAccess::encodedProperties(message, &error) ? Error() : error;
}

} // namespace

class tst_MessageProperties : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    // properties
    void stringPropertyIsSentAndReceived_data() { addStringProperties(); }
    void stringPropertyIsSentAndReceived();
    void emptyStringPropertyIsAbsent_data() { addStringProperties(); }
    void emptyStringPropertyIsAbsent();
    void stringPropertyHolds255BytesOfUtf8_data() { addStringProperties(); }
    void stringPropertyHolds255BytesOfUtf8();
    void stringLongerThan127BytesIsSentAndReceived();
    void correctedMessageCanBePublished();
    void deliveryModeIsSentAndReceived();
    void absentDeliveryModeIsTransient();
    void priorityIsSentAndReceived();
    void priorityOutOfRangeIsRejected();
    void textThatIsNoUtf8IsKept_data();
    void textThatIsNoUtf8IsKept();
    void undecodedHeadersAreEmptyAndForwarded();
    void truncatedPropertiesAreForwardedUnchangedOnly();
    void headersNestedTooDeeplyAreReportedWhenPublished();
    void expirationIsSentAsMilliseconds();
    void negativeExpirationIsRejected();
    void receivedExpirationThatIsNoNumberIsNone_data();
    void receivedExpirationThatIsNoNumberIsNone();
    void timestampIsSentInWholeSecondsOfUtc();
    void timestampOfTheEpochIsPresent();
    void timestampBefore1970IsRejected();
    void receivedTimestampBeyondTheCalendarIsInvalid_data();
    void receivedTimestampBeyondTheCalendarIsInvalid();
    void headersAreSentAndReceived();
    void singleHeadersAreSetAndRead();
    void settingOneHeaderKeepsTheReceivedOnes();
    void emptyHeadersAreAbsent();
    void unsupportedHeaderIsReportedWhenPublished();
    void allPropertiesTogetherAreSentAndReceived();
    void encodedPropertiesAreKept();

    // values
};

void tst_MessageProperties::stringPropertyIsSentAndReceived()
{
    QFETCH(const StringProperty, property);
    Message message;
    (message.*property.set)(u"Grüße, 世界"_s);
    QCOMPARE((message.*property.get)(), u"Grüße, 世界"_s);

    const Message received = sent(message);
    QCOMPARE((received.*property.get)(), u"Grüße, 世界"_s);
    for (const StringProperty &other : StringProperties) {
        if (other.flag != property.flag)
            QCOMPARE((received.*other.get)(), QString());
    }
}

void tst_MessageProperties::emptyStringPropertyIsAbsent()
{
    QFETCH(const StringProperty, property);
    Message message;
    (message.*property.set)(u"x"_s);
    (message.*property.set)(u""_s);

    Wire::BasicProperties onWire;
    const QByteArray properties = encoded(message);
    QCOMPARE(Wire::decodeProperties(properties, onWire), nullptr);
    QVERIFY(!onWire.has(property.flag));
    QCOMPARE((sent(message).*property.get)(), QString());
}

void tst_MessageProperties::stringPropertyHolds255BytesOfUtf8()
{
    QFETCH(const StringProperty, property);
    Message message;
    (message.*property.set)(QString(255, u'x'));
    QCOMPARE((sent(message).*property.get)(), QString(255, u'x'));

    (message.*property.set)(QString(256, u'x'));
    QCOMPARE(publishError(message).kind(), ErrorKind::InvalidArgument);
    QCOMPARE(publishError(message).text(),
             QString::fromLatin1(property.name) + u": the text has 256 bytes of UTF-8; the maximum is 255 bytes"_s);

    (message.*property.set)(QString(85, u'世')); // three bytes each
    QCOMPARE((sent(message).*property.get)(), QString(85, u'世'));
    (message.*property.set)(QString(86, u'世'));
    QCOMPARE(publishError(message).text(),
             QString::fromLatin1(property.name) + u": the text has 258 bytes of UTF-8; the maximum is 255 bytes"_s);
}

void tst_MessageProperties::stringLongerThan127BytesIsSentAndReceived()
{
    for (const int size : {1, 127, 128, 129, 254}) {
        Message message;
        message.setCorrelationId(QString(size, u'c'));
        message.setAppId(u"behind it"_s);
        QCOMPARE(sent(message).correlationId(), QString(size, u'c'));
        QCOMPARE(sent(message).appId(), u"behind it"_s);
    }
}

void tst_MessageProperties::correctedMessageCanBePublished()
{
    Message message;
    message.setType(QString(300, u't'));
    QVERIFY(publishError(message).isError());
    QVERIFY(publishError(message).isError());
    message.setType(u"short"_s);
    QVERIFY(!publishError(message).isError());
    QCOMPARE(sent(message).type(), u"short"_s);
}

void tst_MessageProperties::deliveryModeIsSentAndReceived()
{
    Message message;
    message.setPersistent(false);
    QVERIFY(!message.isPersistent());
    QCOMPARE(sent(message).deliveryMode(), DeliveryMode::Transient);
    QCOMPARE(encoded(message), QByteArray("\x10\x00\x01", 3));
    message.setDeliveryMode(DeliveryMode::Persistent);
    QVERIFY(message.isPersistent());
    QVERIFY(sent(message).isPersistent());
}

void tst_MessageProperties::absentDeliveryModeIsTransient()
{
    const Message received = delivered("x"_ba, QByteArray(2, '\0'));
    QCOMPARE(received.deliveryMode(), DeliveryMode::Transient);
    QVERIFY(!received.isPersistent());
    const Message unknownMode = delivered("x"_ba, QByteArray("\x10\x00\x07", 3));
    QCOMPARE(unknownMode.deliveryMode(), DeliveryMode::Transient);
}

void tst_MessageProperties::priorityIsSentAndReceived()
{
    Message message;
    for (const int priority : {0, 1, 127, 128, 255, -1}) {
        message.setPriority(priority);
        QCOMPARE(message.priority(), priority);
        QCOMPARE(sent(message).priority(), priority);
    }
}

void tst_MessageProperties::priorityOutOfRangeIsRejected()
{
    Message message;
    message.setPriority(5);
    for (const int priority : {-2, 256, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^priority: %1 is out of range"_s.arg(priority)));
        message.setPriority(priority);
        QCOMPARE(message.priority(), 5);
    }
}

void tst_MessageProperties::expirationIsSentAsMilliseconds()
{
    Message message;
    message.setExpiration(90s);
    QCOMPARE(message.expiration(), std::optional(90000ms));

    Wire::BasicProperties onWire;
    const QByteArray properties = encoded(message);
    QCOMPARE(Wire::decodeProperties(properties, onWire), nullptr);
    QCOMPARE(onWire.expiration.toByteArray(), "90000"_ba);
    QCOMPARE(sent(message).expiration(), std::optional(90000ms));

    message.setExpiration(0ms);
    QCOMPARE(sent(message).expiration(), std::optional(0ms));
    message.setExpiration(std::nullopt);
    QVERIFY(!message.expiration());
    QCOMPARE(encoded(message), encoded(Message()));
}

void tst_MessageProperties::negativeExpirationIsRejected()
{
    Message message;
    message.setExpiration(7ms);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^expiration: -1 ms is out of range"_s));
    message.setExpiration(-1ms);
    QCOMPARE(message.expiration(), std::optional(7ms));
}

void tst_MessageProperties::receivedExpirationThatIsNoNumberIsNone_data()
{
    QTest::addColumn<QByteArray>("expiration");
    QTest::newRow("words") << "soon"_ba;
    QTest::newRow("unit") << "10s"_ba;
    QTest::newRow("fraction") << "1.5"_ba;
    QTest::newRow("negative") << "-1"_ba;
    QTest::newRow("too large") << "9223372036854775808"_ba;
    QTest::newRow("empty") << ""_ba;
    QTest::newRow("no UTF-8") << "\xff\xfe"_ba;
}

void tst_MessageProperties::receivedExpirationThatIsNoNumberIsNone()
{
    QFETCH(const QByteArray, expiration);
    Wire::BasicProperties onWire{.flags = Wire::ExpirationFlag};
    onWire.expiration = QByteArrayView(expiration);
    Message received = delivered({}, Wire::encodeProperties(onWire));
    QVERIFY(!received.expiration());

    received.setType(u"t"_s); // setting another property forwards the sender's text
    onWire.flags |= Wire::TypeFlag;
    onWire.type = QByteArrayView("t");
    QCOMPARE(encoded(received), Wire::encodeProperties(onWire));
}

void tst_MessageProperties::timestampIsSentInWholeSecondsOfUtc()
{
    Message message;
    message.setTimestamp(QDateTime(QDate(2024, 2, 29), QTime(13, 30, 45, 999), QTimeZone(3600)));
    const QDateTime expected(QDate(2024, 2, 29), QTime(12, 30, 45), QTimeZone::utc());
    QCOMPARE(message.timestamp(), expected);
    QCOMPARE(sent(message).timestamp(), expected);
    QCOMPARE(sent(message).timestamp().offsetFromUtc(), 0);
    QCOMPARE(encoded(message), QByteArray("\x10\x40\x02\x00\x00\x00\x00\x65\xe0\x78\xf5", 11));

    message.setTimestamp(QDateTime());
    QVERIFY(!message.timestamp().isValid());
    QCOMPARE(encoded(message), encoded(Message()));
}

void tst_MessageProperties::timestampOfTheEpochIsPresent()
{
    Message message;
    const QDateTime epoch = QDateTime::fromSecsSinceEpoch(0, QTimeZone::utc());
    message.setTimestamp(epoch);
    QVERIFY(message.timestamp().isValid());
    QCOMPARE(sent(message).timestamp(), epoch);
}

void tst_MessageProperties::timestampBefore1970IsRejected()
{
    Message message;
    const QDateTime valid = QDateTime::fromSecsSinceEpoch(1, QTimeZone::utc());
    message.setTimestamp(valid);
    for (const qint64 milliseconds : {-1LL, -1000LL, -1000000000000LL}) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^timestamp: .* is out of range"_s));
        message.setTimestamp(QDateTime::fromMSecsSinceEpoch(milliseconds, QTimeZone::utc()));
        QCOMPARE(message.timestamp(), valid);
    }
}

void tst_MessageProperties::receivedTimestampBeyondTheCalendarIsInvalid_data()
{
    QTest::addColumn<quint64>("seconds");
    QTest::newRow("milliseconds overflow") << quint64(std::numeric_limits<qint64>::max() / 1000 + 1);
    QTest::newRow("largest signed") << quint64(std::numeric_limits<qint64>::max());
    QTest::newRow("negative if signed") << (quint64(1) << 63);
    QTest::newRow("largest") << std::numeric_limits<quint64>::max();
}

void tst_MessageProperties::receivedTimestampBeyondTheCalendarIsInvalid()
{
    QFETCH(const quint64, seconds);
    Wire::BasicProperties onWire{.flags = Wire::TimestampFlag};
    onWire.timestamp = seconds;
    Message received = delivered({}, Wire::encodeProperties(onWire));
    QVERIFY(!received.timestamp().isValid());
    QCOMPARE(encoded(received), Wire::encodeProperties(onWire));
}

void tst_MessageProperties::headersAreSentAndReceived()
{
    const FieldTable headers{
        {u"bool"_s, true},
        {u"int"_s, 1},
        {u"long"_s, 1LL << 40},
        {u"double"_s, 0.5},
        {u"string"_s, u"Grüße"_s},
        {u"bytes"_s, "\xff\x00"_ba},
        {u"list"_s, QVariantList{1, u"two"_s}},
        {u"table"_s, QVariantMap{{u"nested"_s, false}}},
    };
    const Message received = sent(withHeaders(headers));
    QCOMPARE(received.headers(), headers);
    QCOMPARE(received.headers().firstKey(), u"bool"_s); // sorted by key
    QCOMPARE(received.header(u"table"_s).toMap().value(u"nested"_s), QVariant(false));
}

void tst_MessageProperties::singleHeadersAreSetAndRead()
{
    Message message;
    QCOMPARE(message.header(u"x"_s), QVariant());
    QCOMPARE(message.header(u"x"_s, 5), QVariant(5));
    message.setHeader(u"x"_s, 1);
    message.setHeader(u"y"_s, u"two"_s);
    message.setHeader(u"x"_s, 3);
    const FieldTable expected{{u"x"_s, 3}, {u"y"_s, u"two"_s}};
    QCOMPARE(message.headers(), expected);
    QCOMPARE(sent(message).headers(), expected);
    QCOMPARE(sent(message).header(u"x"_s, 5), QVariant(3));
}

void tst_MessageProperties::settingOneHeaderKeepsTheReceivedOnes()
{
    Message received = sent(withHeaders({{u"old"_s, u"value"_s}}));
    received.setHeader(u"new"_s, 1);
    const FieldTable expected{{u"new"_s, 1}, {u"old"_s, u"value"_s}};
    QCOMPARE(received.headers(), expected);
    QCOMPARE(sent(received).headers(), expected);
}

void tst_MessageProperties::emptyHeadersAreAbsent()
{
    Message message = withHeaders({{u"x"_s, 1}});
    message.setHeaders({});
    QCOMPARE(encoded(message), encoded(Message()));
    QVERIFY(message.headers().isEmpty());
}

void tst_MessageProperties::unsupportedHeaderIsReportedWhenPublished()
{
    const Message message = withHeaders({{u"x-size"_s, QSize(1, 2)}});
    QCOMPARE(publishError(message).kind(), ErrorKind::InvalidArgument);
    QVERIFY(publishError(message).text().startsWith(u"headers: "_s));
    QVERIFY(publishError(message).text().contains(u"x-size"_s));
    QCOMPARE(message.header(u"x-size"_s), QVariant(QSize(1, 2)));
    QVERIFY(publishError(withHeaders({{u"nan"_s, qQNaN()}})).isError());
}

void tst_MessageProperties::textThatIsNoUtf8IsKept_data()
{
    addStringProperties();
}

void tst_MessageProperties::textThatIsNoUtf8IsKept()
{
    QFETCH(const StringProperty, property);
    const QByteArray bytes("\xff\xed\xa0\x80 \xc3\xa9\xe2\x82");
    Message original;
    (original.*property.set)(textFromBytes(bytes));
    Message received = sent(original);
    QCOMPARE(textToBytes((received.*property.get)()), bytes);
    QCOMPARE(encoded(received), encoded(original));

    Message reply;
    (reply.*property.set)((received.*property.get)());
    QCOMPARE(encoded(reply), encoded(original));

    received.setPriority(3); // another property
    QCOMPARE(textToBytes((sent(received).*property.get)()), bytes);

    (original.*property.set)(textFromBytes("\xfe"));
    QVERIFY(original != reply);
    (reply.*property.set)(textFromBytes(QByteArray(255, '\xff')));
    QVERIFY(!publishError(reply).isError());
    (reply.*property.set)(textFromBytes(QByteArray(256, '\xff')));
    QCOMPARE(publishError(reply).kind(), ErrorKind::InvalidArgument);
    (reply.*property.set)(QString(QChar(0xd83d))); // half a surrogate pair that does not represent a byte
    QCOMPARE(publishError(reply).kind(), ErrorKind::InvalidArgument);
}

void tst_MessageProperties::undecodedHeadersAreEmptyAndForwarded()
{
    QByteArray deep("t\x01");
    for (int i = 0; i < 5000; ++i) {
        QByteArray length(4, '\0');
        qToBigEndian(quint32(deep.size()), length.data());
        deep = 'A' + length + deep;
    }
    const QByteArray table = "\x01"
                             "d" +
                             deep + QByteArray("\x01sS\0\0\0\x02ok", 9) +
                             QByteArray("\x10x-delivery-countI\0\0\0\x07", 22);
    const QByteArray properties =
        Wire::encodeProperties({.flags = Wire::HeadersFlag | Wire::TypeFlag, .headers = {table}, .type = "t"});
    const Message received = delivered("body"_ba, properties);
    QVERIFY(received.hasUndecodedHeaders());
    QCOMPARE(received.headers(), FieldTable());
    QCOMPARE(received.type(), u"t"_s);
    QCOMPARE(received.header(u"s"_s), QVariant(u"ok"_s)); // headers that are well-formed themselves can be read
    QCOMPARE(received.header(u"d"_s, 5), QVariant(5));
    QCOMPARE(received.header(u"none"_s, 5), QVariant(5));
    QCOMPARE(received.deliveryCount(), 7);
    QCOMPARE(encoded(received), properties);

    Message changed = received;
    changed.setAppId(u"a"_s);
    QCOMPARE(encoded(changed), Wire::encodeProperties({.flags = Wire::HeadersFlag | Wire::TypeFlag | Wire::AppIdFlag,
                                                       .headers = {table},
                                                       .type = "t",
                                                       .appId = "a"}));
    QVERIFY(changed != received);
    changed.setAppId({});
    QVERIFY(changed == received);
    QVERIFY(changed != delivered("body"_ba, Wire::encodeProperties({.flags = Wire::TypeFlag, .type = "t"})));

    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"header \"x\" cannot be set because .*nested too deeply"_s));
    changed.setHeader(u"x"_s, 1);
    QCOMPARE(encoded(changed), properties);
    changed.setHeaders({{u"x"_s, 1}});
    QVERIFY(!changed.hasUndecodedHeaders());
    QCOMPARE(sent(changed).headers(), (FieldTable{{u"x"_s, 1}}));
}

void tst_MessageProperties::truncatedPropertiesAreForwardedUnchangedOnly()
{
    const QByteArray properties("\x84\0\x01"
                                "c\x09"
                                "id",
                                7);
    Message received = delivered("body"_ba, properties);
    QCOMPARE(received.contentType(), u"c"_s);
    QCOMPARE(received.correlationId(), QString());
    QVERIFY(received.hasUndecodedHeaders());
    QCOMPARE(encoded(received), properties);
    received.setType(u"t"_s);
    QCOMPARE(publishError(received).kind(), ErrorKind::InvalidArgument);
    QVERIFY2(publishError(received).text().contains(u"truncated"_s), qPrintable(publishError(received).text()));
}

void tst_MessageProperties::headersNestedTooDeeplyAreReportedWhenPublished()
{
    QVariant tables = 1;
    QVariant lists = 1;
    for (int i = 0; i < 2000; ++i) { // Qt's destructors use the stack for each level
        tables = QVariantMap{{u"k"_s, tables}};
        lists = QVariantList{lists};
    }
    for (const QVariant &deep : {tables, lists}) {
        const Message message = withHeaders({{u"deep"_s, deep}});
        QCOMPARE(publishError(message).kind(), ErrorKind::InvalidArgument);
        QVERIFY(publishError(message).text().contains(u"nested more than 32 levels"_s));
        QCOMPARE(validate(message.headers()).kind(), ErrorKind::InvalidArgument);
        QVERIFY(message == Message(message));
        QVERIFY(message != withHeaders({{u"deep"_s, QVariantList{deep}}}));
    }
}

void tst_MessageProperties::allPropertiesTogetherAreSentAndReceived()
{
    const Message message = fullMessage();
    const Message received = sent(message);
    for (const StringProperty &property : StringProperties)
        QCOMPARE((received.*property.get)(), QString::fromLatin1(property.name));
    QCOMPARE(received.headers(), message.headers());
    QCOMPARE(received.deliveryMode(), DeliveryMode::Transient);
    QCOMPARE(received.priority(), 9);
    QCOMPARE(received.expiration(), std::optional(1500ms));
    QCOMPARE(received.timestamp(), message.timestamp());
    QCOMPARE(received.body(), "body"_ba);
    QCOMPARE(encoded(received), encoded(message));
}

void tst_MessageProperties::encodedPropertiesAreKept()
{
    const Message message = fullMessage();
    const QByteArray first = encoded(message);
    const QByteArray second = encoded(message);
    QCOMPARE(first.constData(), second.constData()); // reuses the same memory

    Message copy = message;
    QCOMPARE(encoded(copy).constData(), first.constData());
    copy.setBody("other"_ba);
    QCOMPARE(encoded(copy).constData(), first.constData());
    copy.setPriority(1);
    QVERIFY(encoded(copy) != first);
    QCOMPARE(sent(copy).priority(), 1);
}

QTEST_APPLESS_MAIN(tst_MessageProperties)
#include "tst_messageproperties.moc"
