// SPDX-License-Identifier: MIT
#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"
#include "wire/methods_p.h"
#include "wire/trace_p.h"

#include <QtCore/qdatetime.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;

class tst_Trace : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void methodsAreDescribedFieldByField();
    void tablesAreDescribedValueByValue();
    void secretsAreHidden();
    void textOfThePeerCannotForgeALogEntry();
    void longValuesAreCut();
    void payloadsAreDescribedLikeTheirMethods();
    void malformedPayloadsAreNamed();
    void contentHeadersShowThePropertiesThatArePresent();
    void undecodableHeadersAreShownBySize();
};

void tst_Trace::methodsAreDescribedFieldByField()
{
    QCOMPARE(describe(QueueDeclare{.queue = "заказы", .durable = true}),
             u"queue.declare ticket=0 queue=\"заказы\" passive=false durable=true exclusive=false auto-delete=false "
             "no-wait=false arguments={}"_s);
    QCOMPARE(describe(BasicAck{.deliveryTag = ~quint64(0), .multiple = true}),
             u"basic.ack delivery-tag=18446744073709551615 multiple=true"_s);
    QCOMPARE(describe(TxCommitOk{}), u"tx.commit-ok"_s);
}

void tst_Trace::tablesAreDescribedValueByValue()
{
    const FieldTable table{
        {u"array"_s, QVariantList{1, QVariantList(), QVariantMap{{u"k"_s, false}}}},
        {u"byte"_s, QVariant::fromValue<qint8>(-65)},
        {u"bytes"_s, QByteArray(3, 'x')},
        {u"decimal"_s, QVariant::fromValue(Decimal{2, 1234567890})},
        {u"double"_s, 0.5},
        {u"text"_s, u"t"_s},
        {u"time"_s, QDateTime::fromSecsSinceEpoch(1700000000).toUTC()},
        {u"void"_s, QVariant()},
    };
    const QByteArray contents = *encodeTable(table, {});
    QCOMPARE(describe(ConnectionStart{.serverProperties = {contents}, .mechanisms = "PLAIN"}),
             u"connection.start version-major=0 version-minor=0 server-properties={\"array\": [1, [], {\"k\": false}], "
             "\"byte\": -65, \"bytes\": (3 bytes), \"decimal\": 12345678.90, \"double\": 0.5, \"text\": \"t\", "
             "\"time\": 2023-11-14T22:13:20Z, \"void\": void} mechanisms=\"PLAIN\" locales=\"\""_s);
}

void tst_Trace::secretsAreHidden()
{
    QCOMPARE(describe(ConnectionStartOk{.mechanism = "PLAIN", .response = "secret", .locale = "en_US"}),
             u"connection.start-ok client-properties={} mechanism=\"PLAIN\" response=*** locale=\"en_US\""_s);
    QCOMPARE(describe(ConnectionSecure{.challenge = "secret"}), u"connection.secure challenge=***"_s);
    QCOMPARE(describe(ConnectionSecureOk{.response = "secret"}), u"connection.secure-ok response=***"_s);
    QCOMPARE(describe(ConnectionUpdateSecret{.newSecret = "secret", .reason = "expiry"}),
             u"connection.update-secret new-secret=*** reason=\"expiry\""_s);
}

void tst_Trace::textOfThePeerCannotForgeALogEntry()
{
    const QString text = describe(ChannelClose{.replyText = "a\"b\\\n\x1b[31m\xe2\x80\xae\xff"});
    QVERIFY2(text.startsWith(u"channel.close reply-code=0 reply-text=\"a\\\"b\\\\\\n"_s), qPrintable(text));
    for (const QChar c : text)
        QVERIFY2(c.isPrint(), qPrintable(text)); // no line feed, no escape sequence, no override of the direction

    const QByteArray contents = *encodeTable({{u"k\n"_s, u"v\n"_s}}, {});
    QVERIFY(describe(QueueBind{.arguments = {contents}}).endsWith(u"arguments={\"k\\n\": \"v\\n\"}"_s));
}

void tst_Trace::longValuesAreCut()
{
    const QByteArray text(100000, 'x');
    QCOMPARE(describe(ChannelOpenOk{.reserved1 = text}),
             u"channel.open-ok reserved-1=\"%1\"… (100000 bytes)"_s.arg(QString(256, u'x')));

    QVariantList list;
    for (int i = 0; i < 1000; ++i)
        list.append(i);
    const QByteArray contents = *encodeTable({{u"k"_s, list}}, {});
    QVERIFY(describe(QueueBind{.arguments = {contents}}).endsWith(u"30, 31, … (1000 elements)]}"_s));
}

void tst_Trace::payloadsAreDescribedLikeTheirMethods()
{
    const BasicCancel method{.consumerTag = "t", .noWait = true};
    QCOMPARE(describeMethod(encodePayload(method)), describe(method));
}

void tst_Trace::malformedPayloadsAreNamed()
{
    QCOMPARE(describeMethod("\0\x3c\0"), u"truncated method"_s);
    QCOMPARE(describeMethod({"\0\x3c\0\x50", 4}), u"malformed basic.ack"_s);
    QCOMPARE(describeMethod({"\0\x3c\0\x51", 4}), u"unknown method 60.81"_s);
    QCOMPARE(describeContentHeader({"\0\x3c\0\0", 4}), u"malformed content header"_s);
}

void tst_Trace::contentHeadersShowThePropertiesThatArePresent()
{
    QByteArray payload(ContentHeaderPrefix, '\0');
    writeContentHeaderPrefix(payload.data(), 60, 12);
    payload += encodeProperties({.flags = HeadersFlag | PriorityFlag | AppIdFlag, .priority = 5, .appId = "a"});
    QCOMPARE(describeContentHeader(payload),
             u"content header class-id=60 body-size=12 headers={} priority=5 app-id=\"a\""_s);
}

void tst_Trace::undecodableHeadersAreShownBySize()
{
    QByteArray payload(ContentHeaderPrefix, '\0');
    writeContentHeaderPrefix(payload.data(), 60, 12);
    payload += encodeProperties({.flags = HeadersFlag | AppIdFlag, .headers = {"\x01k?"}, .appId = "a"});
    QCOMPARE(
        describeContentHeader(payload),
        u"content header class-id=60 body-size=12 headers=(3 bytes, unknown type in a field table) app-id=\"a\""_s);
    payload.chop(1);
    QCOMPARE(describeContentHeader(payload), u"content header class-id=60 body-size=12 "
                                             "headers=(3 bytes, unknown type in a field table) … (truncated)"_s);
}

QTEST_APPLESS_MAIN(tst_Trace)
#include "tst_trace.moc"
