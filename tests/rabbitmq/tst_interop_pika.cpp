// SPDX-License-Identifier: MIT
#include "rabbitmq/interoptest.h"

#include <QtCore/qmetaobject.h>
#include <QtTest/qsignalspy.h>

#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests interoperation with pika. Python values are compared by the result of ascii(), which distinguishes their types:
// 1 is an int, 1L pika's long, True a bool, '1' text, b'1' bytes, Decimal('1') a decimal.
class tst_InteropPika : public InteropTest
{
    Q_OBJECT

private Q_SLOTS:
    void headerIsReadByPika_data();
    void headerIsReadByPika();
    void headerOfPikaIsRead_data() { headers(); }
    void headerOfPikaIsRead();
    void headerOfPikaIsForwardedAsItCame_data() { headers(); }
    void headerOfPikaIsForwardedAsItCame();
    void decimalOfPikaBelowZeroIsReadUnsigned();
    void allPropertiesAreReadByPika();
    void allPropertiesOfPikaAreRead();
    void absentAndEmptyPropertiesAreAbsentToPika();
    void absentPropertiesOfPikaAreAbsent();
    void zeroIsNotAbsent();
    void emptyPropertiesOfPikaAreForwardedAsTheyCame();
    void headersOfPikaThatAreNestedTooDeeplyDoNoHarm_data();
    void headersOfPikaThatAreNestedTooDeeplyDoNoHarm();
    void propertiesOfPikaThatAreNoTextAreKept_data();
    void propertiesOfPikaThatAreNoTextAreKept();
    void bodiesAreTheSameOnBothSides_data();
    void bodiesAreTheSameOnBothSides();

private:
    std::unique_ptr<QProcess> startPeer() override;
    static void headers();
    QByteArray ask(const QByteArray &command, const QByteArray &expression = {})
    {
        return m_peer->ask(command + '\t' + m_queue.toUtf8() + '\t' + expression);
    }
};

// Each line has a command, a queue and a Python expression for the body and a dict of the properties. "fetch" answers
// with the next message of the queue or, if it is the expected one, with "as expected".
static const auto Pika = QStringLiteral(R"python(
import os, sys
import pika
from datetime import datetime
from decimal import Decimal
from pika.compat import long


def short_string(encoded, offset):
    """As pika reads it, but bytes where it is no text."""
    end = offset + 1 + encoded[offset]
    value = bytes(encoded[offset + 1:end])
    try:
        return value.decode('utf8'), end
    except UnicodeDecodeError:
        return value, end


def nested(levels, wrap):
    value = True
    for _ in range(levels):
        value = wrap(value)
    return value


pika.data.decode_short_string = short_string
parameters = pika.URLParameters(os.environ['AMQPQT_TEST_URL'])
parameters.heartbeat = 0  # while it waits for a line, it does not serve the connection
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.confirm_delivery()
for line in sys.stdin:
    command, queue, expression = line.rstrip('\n').split('\t')
    body, properties = eval(expression)
    if command == 'publish':
        channel.basic_publish('', queue, body, pika.BasicProperties(**properties), mandatory=True)
        print('published', flush=True)
    else:
        method, got, got_body = channel.basic_get(queue, auto_ack=True)
        present = {name: value for name, value in sorted(vars(got).items()) if value is not None}
        properties = dict(sorted(properties.items()))
        message = ascii((got_body, present))
        print('as expected' if message == ascii((body, properties)) else message, flush=True)
connection.close()
)python");

std::unique_ptr<QProcess> tst_InteropPika::startPeer()
{
    return startPika(Pika);
}

// These values can be sent by pika as well.
void tst_InteropPika::headers()
{
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QByteArray>("python");
    const auto row = [](const char *name, const auto &value, const QByteArray &python) {
        QTest::newRow(name) << QVariant::fromValue(value) << python;
    };
    row("false", false, "False");
    row("true", true, "True");
    row("int32 min", std::numeric_limits<qint32>::min(), "-2**31");
    row("int32 -1", qint32(-1), "-1");
    row("int32 0", qint32(0), "0");
    row("int32 max", std::numeric_limits<qint32>::max(), "2**31 - 1");
    row("int64 0", qint64(0), "long(0)");
    row("int64 above int32", qint64(1) << 31, "long(2**31)");
    row("int64 max", std::numeric_limits<qint64>::max(), "long(2**63 - 1)");
    row("decimal 0", Decimal{0, 0}, "Decimal('0')");
    row("decimal 123.45", Decimal{2, 12345}, "Decimal('123.45')");
    row("decimal max", Decimal{0, 2147483647}, "Decimal('2147483647')");
    row("decimal min", Decimal{255, 1}, "Decimal('1E-255')");
    row("empty text", u""_s, "''");
    row("text", u"plain"_s, "'plain'");
    row("text in other scripts", u"Grüße, мир, 世界, 😀"_s, "'Grüße, мир, 世界, 😀'");
    row("text that begins with a byte order mark", u"\ufefftext"_s, "'\\ufefftext'");
    row("text with NUL", u"a\0b"_s, "'a\\0b'");
    row("no bytes", QByteArray(""), "b''");
    row("all bytes", allBytes(), "bytes(range(256))");
    row("time 0", utc(0), "datetime(1970, 1, 1)");
    row("time", utc(1'700'000'000), "datetime(2023, 11, 14, 22, 13, 20)");
    row("last time of Python", utc(253'402'300'799), "datetime(9999, 12, 31, 23, 59, 59)");
    row("no value", nullptr, "None");
    row("empty table", QVariantMap(), "{}");
    row("table", QVariantMap({{u""_s, 1}, {u"b"_s, QVariantMap({{u"c"_s, QVariantMap()}})}, {u"имя"_s, true}}),
        "{'': 1, 'b': {'c': {}}, 'имя': True}");
    row("name of 255 bytes", QVariantMap({{QString(85, u'猫'), 1}}), "{'猫' * 85: 1}");
    row("empty array", QVariantList(), "[]");
    row("array",
        QVariantList({1, u"two"_s, QByteArray("3"), QVariant::fromValue(nullptr), QVariantList({false}),
                      QVariantMap({{u"a"_s, 1}})}),
        "[1, 'two', b'3', None, [False], {'a': 1}]");
}

void tst_InteropPika::headerIsReadByPika_data()
{
    headers();
    const auto row = [](const char *name, const auto &value, const QByteArray &python) {
        QTest::newRow(name) << QVariant::fromValue(value) << python;
    };
    // pika 1.2 reads b as unsigned and B as signed
    row("int8 min", qint8(-128), "128");
    row("int8 -1", qint8(-1), "255");
    row("int8 max", qint8(127), "127");
    row("uint8 0", quint8(0), "0");
    row("uint8 127", quint8(127), "127");
    row("uint8 max", quint8(255), "-1");
    row("int16 min", qint16(-32768), "-32768");
    row("int16 -1", qint16(-1), "-1");
    row("int16 max", qint16(32767), "32767");
    row("uint16 0", quint16(0), "0");
    row("uint16 max", quint16(65535), "65535");
    row("uint32 0", quint32(0), "0");
    row("uint32 max", std::numeric_limits<quint32>::max(), "2**32 - 1");
    // l as unsigned
    row("int64 min", std::numeric_limits<qint64>::min(), "long(2**63)");
    row("int64 -1", qint64(-1), "long(2**64 - 1)");
    // the value of a decimal as signed
    row("decimal above int32", Decimal{1, 4294967295}, "Decimal('-0.1')");
    // and cuts fractions off
    row("float", 1.5f, "long(1)");
    row("negative float", -16777216.0f, "long(-2**24)");
    row("double", 1.5, "long(1)");
    row("large double", 9007199254740992.0, "long(2**53)");
    row("negative double", -9007199254740992.0, "long(-2**53)");
}

void tst_InteropPika::headerIsReadByPika()
{
    QFETCH(const QVariant, value);
    QFETCH(const QByteArray, python);
    Message message;
    message.setHeader(u"value"_s, value);
    QVERIFY(send(message));
    QCOMPARE(ask("fetch", "b'', {'headers': {'value': " + python + "}, 'delivery_mode': 2}"),
             QByteArray("as expected"));
}

void tst_InteropPika::headerOfPikaIsRead()
{
    QFETCH(const QVariant, value);
    QFETCH(const QByteArray, python);
    QCOMPARE(ask("publish", "b'', {'headers': {'value': " + python + "}}"), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    QCOMPARE(describe(message->headers()), describe(QVariantMap({{u"value"_s, value}})));
}

void tst_InteropPika::headerOfPikaIsForwardedAsItCame()
{
    QFETCH(const QByteArray, python);
    const QByteArray pikas = "b'', {'headers': {'z': 1, 'value': " + python + "}}"; // not sorted
    QCOMPARE(ask("publish", pikas), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    QVERIFY(send(*message));
    QCOMPARE(ask("fetch", pikas), QByteArray("as expected"));
}

// RabbitMQ reads the value of a decimal unsigned as well, pika writes it signed.
void tst_InteropPika::decimalOfPikaBelowZeroIsReadUnsigned()
{
    QCOMPARE(ask("publish", "b'', {'headers': {'value': Decimal('-1.5')}}"), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    QCOMPARE(describe(message->header(u"value"_s)), describe(QVariant::fromValue(Decimal{1, quint32(-15)})));
}

// Returns fullMessage() as a Python expression.
static QByteArray fullMessageInPython()
{
    return "bytes(range(256)), {'content_type': 'application/octet-stream', 'content_encoding': 'x-тест', "
           "'headers': {'имя': 'значение'}, 'delivery_mode': 1, 'priority': 255, 'correlation_id': '相関', "
           "'reply_to': 'απάντηση', 'expiration': '4294967295', 'message_id': '😀', 'timestamp': 1700000000, "
           "'type': 'סוג', 'user_id': 'guest', 'app_id': 'تطبيق', 'cluster_id': '猫' * 85}";
}

void tst_InteropPika::allPropertiesAreReadByPika()
{
    QVERIFY(send(fullMessage()));
    QCOMPARE(ask("fetch", fullMessageInPython()), QByteArray("as expected"));
}

void tst_InteropPika::allPropertiesOfPikaAreRead()
{
    QCOMPARE(ask("publish", fullMessageInPython()), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    QCOMPARE(describe(*message), describe(fullMessage()));
}

void tst_InteropPika::absentAndEmptyPropertiesAreAbsentToPika()
{
    Message message;
    message.setContentType(u""_s);
    message.setHeaders({});
    message.setCorrelationId({});
    message.setPriority(-1);
    message.setTimestamp({});
    message.setExpiration({});
    QVERIFY(send(message));
    QCOMPARE(ask("fetch", "b'', {'delivery_mode': 2}"), QByteArray("as expected"));
}

void tst_InteropPika::absentPropertiesOfPikaAreAbsent()
{
    QCOMPARE(ask("publish", "b'body', {}"), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    Message bare("body");
    bare.setPersistent(false);
    QCOMPARE(describe(*message), describe(bare));

    QVERIFY(send(*message)); // not even the default delivery mode is added
    QCOMPARE(ask("fetch", "b'body', {}"), QByteArray("as expected"));
}

void tst_InteropPika::zeroIsNotAbsent()
{
    Message message("0");
    message.setPriority(0);
    message.setTimestamp(utc(0));
    QVERIFY(send(message));
    const QByteArray python = "b'0', {'delivery_mode': 2, 'priority': 0, 'timestamp': 0}";
    QCOMPARE(ask("fetch", python), QByteArray("as expected"));

    QCOMPARE(ask("publish", python), QByteArray("published"));
    const std::optional<Message> back = take();
    QVERIFY(back);
    QCOMPARE(describe(*back), describe(message));
}

void tst_InteropPika::emptyPropertiesOfPikaAreForwardedAsTheyCame()
{
    const QByteArray python = "b'', {'content_type': '', 'content_encoding': '', 'headers': {}, 'correlation_id': '', "
                              "'reply_to': '', 'message_id': '', 'type': '', 'app_id': '', 'cluster_id': ''}";
    QCOMPARE(ask("publish", python), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    Message bare;
    bare.setPersistent(false);
    QCOMPARE(describe(*message), describe(bare));

    QVERIFY(send(*message));
    QCOMPARE(ask("fetch", python), QByteArray("as expected"));
}

void tst_InteropPika::headersOfPikaThatAreNestedTooDeeplyDoNoHarm_data()
{
    QTest::addColumn<QByteArray>("python");
    for (const int levels : {32, 40, 200}) { // the table of headers is a level, too
        QTest::addRow("tables %d", levels) << "nested(" + QByteArray::number(levels) + ", lambda value: {'k': value})";
        QTest::addRow("arrays %d", levels) << "nested(" + QByteArray::number(levels) + ", lambda value: [value])";
    }
}

void tst_InteropPika::headersOfPikaThatAreNestedTooDeeplyDoNoHarm()
{
    QFETCH(const QByteArray, python);
    const QByteArray pikas = "b'poison', {'headers': {'a': 7, 'deep': " + python + "}, 'type': 't'}";
    const QString other = uniqueName(u"other"_s);
    BrokerClient client;
    VERIFY_OK(client.channel->declareQueue(other, {.exclusive = true}));
    QList<Message> poisoned;
    int others = 0;
    const Consumer *consumer = client.channel->consume(m_queue);
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { poisoned += message; });
    connect(client.channel->consume(other), &Consumer::delivered, this, [&] { ++others; });

    QCOMPARE(ask("publish", pikas), QByteArray("published"));
    QVERIFY(waitFor([&] { return poisoned.size() == 1; }));
    QCOMPARE(ask("publish", pikas),
             QByteArray("published")); // recognised as equal to the previous message
    QVERIFY(waitFor([&] { return poisoned.size() == 2; }));
    client.channel->publish({}, other, Message("other"));
    QVERIFY(waitFor([&] { return others == 1; }));
    QCOMPARE(consumer->state(), Consumer::State::Active);
    for (const Message &message : std::as_const(poisoned)) {
        QCOMPARE(message.body(), "poison"_ba);
        QCOMPARE(message.type(), u"t"_s);
        QVERIFY(message.hasUndecodedHeaders());
        QCOMPARE(message.headers(), FieldTable());
        QCOMPARE(message.header(u"a"_s).toInt(), 7);
        message.ack();
    }
    VERIFY_OK(client.channel->close());

    QVERIFY(send(poisoned.first()));
    QCOMPARE(ask("fetch", pikas), QByteArray("as expected"));
    QCOMPARE(ask("publish", pikas), QByteArray("published"));
    const std::optional<Message> got = take();
    QVERIFY(got && got->hasUndecodedHeaders());
    VERIFY_OK(m_client->channel->confirmSelect());
    QSignalSpy returned(m_client->channel, &Channel::messageReturned);
    QSignalSpy failed(m_client->channel, &Channel::publishFailed);
    m_client->channel->publish({}, m_queue + u".missing"_s, *got, Channel::PublishFlag::Mandatory);
    QVERIFY(waitFor([&] { return failed.count() == 1; }));
    QCOMPARE(returned.count(), 1);
    QVERIFY(returned.first().at(1).value<Message>().hasUndecodedHeaders());
}

void tst_InteropPika::propertiesOfPikaThatAreNoTextAreKept_data()
{
    QTest::addColumn<QByteArray>("name");
    for (const char *name :
         {"content_type", "content_encoding", "correlation_id", "reply_to", "message_id", "type", "app_id"})
        QTest::newRow(name) << QByteArray(name);
}

void tst_InteropPika::propertiesOfPikaThatAreNoTextAreKept()
{
    QFETCH(const QByteArray, name);
    const auto pikas = [&](const QByteArray &others = {}) {
        return "b'body', {'headers': {'z': 1, 'a': 2}, '" + name + "': b'\\xff\\x00 \\xc3\\xa9\\xc3', " + others + "}";
    };
    QCOMPARE(ask("publish", pikas()), QByteArray("published"));
    std::optional<Message> message = take();
    QVERIFY(message);
    QVERIFY(send(*message));
    QCOMPARE(ask("fetch", pikas()), QByteArray("as expected"));

    message->setClusterId(u"changed"_s);
    QVERIFY(send(*message));
    QCOMPARE(ask("fetch", pikas("'cluster_id': 'changed'")), QByteArray("as expected"));

    // Copies the property as a reply would.
    QByteArray property = name == "app_id" ? "appId" : name;
    if (const qsizetype underscore = property.indexOf('_'); underscore > 0)
        property.replace(underscore, 2, QByteArray(1, property[underscore + 1]).toUpper());
    const QMetaProperty metaProperty =
        Message::staticMetaObject.property(Message::staticMetaObject.indexOfProperty(property.constData()));
    Message reply("reply");
    QVERIFY(metaProperty.writeOnGadget(&reply, metaProperty.readOnGadget(&*message)));
    QVERIFY(send(reply));
    QCOMPARE(ask("fetch", "b'reply', {'delivery_mode': 2, '" + name + "': b'\\xff\\x00 \\xc3\\xa9\\xc3'}"),
             QByteArray("as expected"));
    QCOMPARE(textToBytes(metaProperty.readOnGadget(&*message).toString()), QByteArray("\xff\0 \xc3\xa9\xc3", 6));
}

void tst_InteropPika::bodiesAreTheSameOnBothSides_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QByteArray>("python");
    QTest::newRow("empty") << QByteArray() << QByteArray("b''");
    QTest::newRow("NUL") << QByteArray(1, '\0') << QByteArray("b'\\0'");
    QTest::newRow("all bytes") << allBytes() << QByteArray("bytes(range(256))");
    QTest::newRow("many frames") << allBytes().repeated(2000) << QByteArray("bytes(range(256)) * 2000");
    QTest::newRow("text") << QByteArray("Grüße, мир, 世界, 😀") << QByteArray("'Grüße, мир, 世界, 😀'.encode()");
}

void tst_InteropPika::bodiesAreTheSameOnBothSides()
{
    QFETCH(const QByteArray, body);
    QFETCH(const QByteArray, python);
    QVERIFY(send(Message(body)));
    QCOMPARE(ask("fetch", python + ", {'delivery_mode': 2}"), QByteArray("as expected"));

    QCOMPARE(ask("publish", python + ", {}"), QByteArray("published"));
    const std::optional<Message> message = take();
    QVERIFY(message);
    QVERIFY(message->body() == body); // too long to be printed
}

QTEST_GUILESS_MAIN(tst_InteropPika)
#include "moc_interoptest.cpp"
#include "tst_interop_pika.moc"
