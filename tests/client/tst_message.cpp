// SPDX-License-Identifier: MIT
#include "client/stringproperties.h"
#include "support/messages.h"

#include "wire/contentheader_p.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

class tst_Message : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    // new messages
    void newMessageIsPersistentAndOtherwiseEmpty();
    void bodyAndContentTypeAreSetByConstructors();
    void bodyIsNeverNull();
    void movedFromMessageIsEmptyAndUsable();

    // forwarding
    void untouchedReceivedMessageIsForwardedByteForByte();
    void changedReceivedMessageKeepsTheOtherPropertiesByteForByte();
    void propertiesOfAReceivedMessageCanBeRemoved();

    // values
    void copiesDetachOnWrite();
    void copyOfAnEncodedMessageCanBeChanged();
    void equalityComparesEveryProperty_data();
    void equalityComparesEveryProperty();
    void headersOfOtherTypesAreNotEqual();
    void propertiesAreAccessibleByName();
};

void tst_Message::newMessageIsPersistentAndOtherwiseEmpty()
{
    const Message message;
    QVERIFY(message.body().isEmpty());
    QVERIFY(message.isPersistent());
    QCOMPARE(message.deliveryMode(), DeliveryMode::Persistent);
    for (const StringProperty &property : StringProperties)
        QCOMPARE((message.*property.get)(), QString());
    QCOMPARE(message.priority(), -1);
    QVERIFY(!message.expiration());
    QVERIFY(!message.timestamp().isValid());
    QVERIFY(message.headers().isEmpty());

    Wire::BasicProperties onWire;
    const QByteArray properties = encoded(message);
    QCOMPARE(Wire::decodeProperties(properties, onWire), nullptr);
    QCOMPARE(onWire.flags, quint16(Wire::DeliveryModeFlag));
    QCOMPARE(onWire.deliveryMode, quint8(2));
}

// QML takes a null QByteArray for an ArrayBuffer that was detached.
void tst_Message::bodyIsNeverNull()
{
    QVERIFY(!Message().body().isNull());
    QVERIFY(!Message(QByteArray()).body().isNull());
    Message message("text");
    message.setBody({});
    QVERIFY(!message.body().isNull());
    QVERIFY(message.body().isEmpty());
    QCOMPARE(message, Message(""));
    const Message moved = std::move(message);
    QVERIFY(!Message(moved).body().isNull());
}

void tst_Message::bodyAndContentTypeAreSetByConstructors()
{
    const Message bytes("a\0b"_ba);
    QCOMPARE(bytes.body(), "a\0b"_ba);
    QCOMPARE(bytes.contentType(), QString());
    QCOMPARE(MessageAccess::body(bytes), "a\0b"_ba);

    const Message image("…"_ba, u"image/png"_s);
    QCOMPARE(image.body(), "…"_ba);
    QCOMPARE(sent(image).contentType(), u"image/png"_s);
    QVERIFY(sent(image).isPersistent());
}

void tst_Message::movedFromMessageIsEmptyAndUsable()
{
    Message first = fullMessage();
    const Message second = std::move(first);
    QCOMPARE(second, fullMessage());
    QCOMPARE(first, Message()); // NOLINT(bugprone-use-after-move)
    first.setType(u"again"_s);
    QCOMPARE(first.type(), u"again"_s);
    QVERIFY(first.isPersistent());
}

void tst_Message::untouchedReceivedMessageIsForwardedByteForByte()
{
    // The table is unsorted, has a key twice and an int as one octet, which is legal, but the encoder never
    // writes it.
    const QByteArray table = "\x01zb\x05\x01"
                             "at\x01\x01"
                             "at\x00"_ba;
    Wire::BasicProperties onWire{.flags = Wire::HeadersFlag | Wire::TypeFlag | Wire::DeliveryModeFlag};
    onWire.headers.contents = table;
    onWire.type = QByteArrayView("\xff not UTF-8");
    onWire.deliveryMode = 9;
    const QByteArray properties = Wire::encodeProperties(onWire);

    const Message received = delivered("body"_ba, properties);
    QCOMPARE(encoded(received).constData(), properties.constData()); // shared, not copied
    QCOMPARE(received.headers().size(), 2);
    QVERIFY(!received.type().isEmpty());
    Message copy = received;
    copy.setBody("changed"_ba);
    QCOMPARE(encoded(copy).constData(), properties.constData());
}

void tst_Message::changedReceivedMessageKeepsTheOtherPropertiesByteForByte()
{
    const QByteArray table = "\x01zb\x05\x01"
                             "at\x01\x01"
                             "at\x00"_ba;
    Wire::BasicProperties onWire;
    onWire.flags = Wire::HeadersFlag | Wire::TypeFlag | Wire::UserIdFlag | Wire::DeliveryModeFlag;
    onWire.headers.contents = table;
    onWire.type = QByteArrayView("\xff not UTF-8");
    onWire.userId = QByteArrayView(""); // present, but empty
    onWire.deliveryMode = 9;
    Message received = delivered("body"_ba, Wire::encodeProperties(onWire));
    received.setPriority(4);
    received.setReplyTo(u"answers"_s);

    onWire.flags |= Wire::PriorityFlag | Wire::ReplyToFlag;
    onWire.priority = 4;
    onWire.replyTo = QByteArrayView("answers");
    QCOMPARE(encoded(received), Wire::encodeProperties(onWire));
}

void tst_Message::propertiesOfAReceivedMessageCanBeRemoved()
{
    Message received = sent(fullMessage());
    for (const StringProperty &property : StringProperties)
        (received.*property.set)(QString());
    received.setHeaders({});
    received.setPriority(-1);
    received.setExpiration(std::nullopt);
    received.setTimestamp({});
    received.setPersistent(true);
    QCOMPARE(encoded(received), encoded(Message()));
}

void tst_Message::copiesDetachOnWrite()
{
    const Message original = fullMessage();
    Message copy = original;
    QCOMPARE(copy, original);
    for (const StringProperty &property : StringProperties) {
        (copy.*property.set)(u"changed"_s);
        QCOMPARE((original.*property.get)(), QString::fromLatin1(property.name));
    }
    copy.setHeader(u"a"_s, 2);
    copy.setBody({});
    QCOMPARE(original.header(u"a"_s), QVariant(1));
    QCOMPARE(original.body(), "body"_ba);
    QCOMPARE(original, fullMessage());

    Message assigned;
    assigned = original;
    QCOMPARE(assigned, original);
    swap(assigned, copy);
    QCOMPARE(copy, original);
    QCOMPARE(assigned.type(), u"changed"_s);
}

void tst_Message::copyOfAnEncodedMessageCanBeChanged()
{
    Message message = fullMessage();
    const QByteArray before = encoded(message);
    const Message copy = message;
    message.setType(u"other"_s);
    QCOMPARE(sent(message).type(), u"other"_s);
    message.setHeader(u"c"_s, 3);
    QCOMPARE(sent(message).headers().size(), 3);
    QCOMPARE(encoded(copy), before);
}

void tst_Message::equalityComparesEveryProperty_data()
{
    QTest::addColumn<Message>("changed");
    const auto row = [](const char *name, auto change) {
        Message message = fullMessage();
        change(message);
        QTest::newRow(name) << message;
    };
    for (const StringProperty &property : StringProperties)
        row(property.name, [&](Message &m) { (m.*property.set)(u"different"_s); });
    row("body", [](Message &m) { m.setBody("different"_ba); });
    row("headers", [](Message &m) { m.setHeaders({}); });
    row("header", [](Message &m) { m.setHeader(u"a"_s, 2); });
    row("deliveryMode", [](Message &m) { m.setPersistent(true); });
    row("priority", [](Message &m) { m.setPriority(-1); });
    row("expiration", [](Message &m) { m.setExpiration(1501ms); });
    row("no expiration", [](Message &m) { m.setExpiration({}); });
    row("timestamp", [](Message &m) { m.setTimestamp(m.timestamp().addSecs(1)); });
    row("no timestamp", [](Message &m) { m.setTimestamp({}); });
}

void tst_Message::equalityComparesEveryProperty()
{
    QFETCH(const Message, changed);
    const Message original = fullMessage();
    QVERIFY(original == fullMessage());
    QVERIFY(!(original != fullMessage()));
    QVERIFY(original != changed);
    QVERIFY(!(original == changed));
    QVERIFY(sent(original) == sent(fullMessage()));
    QVERIFY(sent(original) != sent(changed));
}

void tst_Message::headersOfOtherTypesAreNotEqual()
{
    QVERIFY(withHeaders({{u"x"_s, 1}}) == withHeaders({{u"x"_s, 1}}));
    QVERIFY(withHeaders({{u"x"_s, 1}}) != withHeaders({{u"x"_s, true}}));
    QVERIFY(withHeaders({{u"x"_s, 1}}) != withHeaders({{u"x"_s, 1LL}}));
    QVERIFY(withHeaders({{u"x"_s, 1}}) != withHeaders({{u"x"_s, 1.0}}));
    QVERIFY(withHeaders({{u"x"_s, QSize(1, 2)}}) == withHeaders({{u"x"_s, QSize(1, 2)}}));
    QVERIFY(withHeaders({{u"x"_s, QSize(1, 2)}}) != withHeaders({{u"x"_s, QSize(1, 3)}}));
}

void tst_Message::propertiesAreAccessibleByName()
{
    Message message = delivered("body"_ba, encoded(fullMessage()));
    const QMetaObject &meta = Message::staticMetaObject;
    for (const StringProperty &property : StringProperties) {
        const QMetaProperty byName = meta.property(meta.indexOfProperty(property.name));
        QCOMPARE(byName.readOnGadget(&message).toString(), QString::fromLatin1(property.name));
        QVERIFY(byName.writeOnGadget(&message, u"written"_s));
        QCOMPARE((message.*property.get)(), u"written"_s);
    }
    const auto value = [&](const char *name) {
        return meta.property(meta.indexOfProperty(name)).readOnGadget(&message);
    };
    QCOMPARE(value("body"), QVariant("body"_ba));
    QCOMPARE(value("priority"), QVariant(9));
    QCOMPARE(value("persistent"), QVariant(false));
    QCOMPARE(value("deliveryTag"), QVariant(42.0));
    QCOMPARE(value("exchange"), QVariant(u"amq.topic"_s));
    QCOMPARE(value("headers").toMap(), message.headers());
}

QTEST_APPLESS_MAIN(tst_Message)
#include "tst_message.moc"
