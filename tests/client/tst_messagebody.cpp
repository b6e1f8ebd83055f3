// SPDX-License-Identifier: MIT
#include "support/messages.h"

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qstringconverter.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;

class tst_MessageBody : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void textIsDecodedByContentEncoding_data();
    void textIsDecodedByContentEncoding();
    void fromTextIsReadAsText();
    void jsonPathsSelectValues_data();
    void jsonPathsSelectValues();
    void jsonOfNothingIsInvalid_data();
    void jsonOfNothingIsInvalid();
    void fromJsonIsReadAsJson();
    void jsonDocumentReportsErrors();
};

void tst_MessageBody::textIsDecodedByContentEncoding_data()
{
    QTest::addColumn<QString>("encoding");
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QString>("text");
    const QString text = u"Grüße"_s;
    const auto encode = [&](QStringConverter::Encoding encoding, QStringConverter::Flags flags = {}) {
        return QByteArray(QStringEncoder(encoding, flags).encode(text));
    };
    QTest::newRow("none") << QString() << text.toUtf8() << text;
    QTest::newRow("UTF-8") << u"UTF-8"_s << text.toUtf8() << text;
    QTest::newRow("utf8") << u"utf8"_s << text.toUtf8() << text;
    QTest::newRow("ISO-8859-1") << u"ISO-8859-1"_s << text.toLatin1() << text;
    QTest::newRow("latin1") << u"latin1"_s << text.toLatin1() << text;
    QTest::newRow("UTF-16LE") << u"UTF-16LE"_s << encode(QStringConverter::Utf16LE) << text;
    QTest::newRow("UTF-16BE") << u"UTF-16BE"_s << encode(QStringConverter::Utf16BE) << text;
    QTest::newRow("UTF-16 with mark") << u"UTF-16"_s
                                      << QByteArray("\xff\xfe"
                                                    "A\0",
                                                    4)
                                      << u"A"_s;
    QTest::newRow("UTF-16 with big-endian mark") << u"UTF-16"_s << QByteArray("\xfe\xff\0A", 4) << u"A"_s;
    QTest::newRow("UTF-32BE") << u"UTF-32BE"_s << encode(QStringConverter::Utf32BE) << text;
    QTest::newRow("gzip") << u"gzip"_s << text.toUtf8() << text;
    QTest::newRow("deflate") << u"deflate"_s << text.toUtf8() << text;
    QTest::newRow("non-Latin name") << u"世界"_s << text.toUtf8() << text;
    QTest::newRow("no UTF-8") << QString() << "a\xff"_ba << u"a\uFFFD"_s;
    QTest::newRow("cut UTF-8") << u"UTF-8"_s << "a\xc3"_ba << u"a\uFFFD"_s;
    QTest::newRow("empty") << u"UTF-16"_s << ""_ba << QString();
}

void tst_MessageBody::textIsDecodedByContentEncoding()
{
    QFETCH(const QString, encoding);
    QFETCH(const QByteArray, body);
    QFETCH(const QString, text);
    Message message(body);
    message.setContentEncoding(encoding);
    QCOMPARE(message.text(), text);
}

void tst_MessageBody::fromTextIsReadAsText()
{
    const Message message = sent(Message::fromText(u"Grüße, 世界"));
    QCOMPARE(message.text(), u"Grüße, 世界"_s);
    QCOMPARE(message.body(), u"Grüße, 世界"_s.toUtf8());
    QCOMPARE(message.contentType(), u"text/plain"_s);
    QCOMPARE(message.contentEncoding(), u"UTF-8"_s);
    QVERIFY(message.isPersistent());
}

void tst_MessageBody::jsonPathsSelectValues_data()
{
    QTest::addColumn<QString>("path");
    QTest::addColumn<QVariant>("value");
    QTest::newRow("key") << u"name"_s << QVariant(u"Grüße"_s);
    QTest::newRow("nested") << u"order.id"_s << QVariant(7);
    QTest::newRow("index") << u"order.items.1"_s << QVariant(2.5);
    QTest::newRow("index, then key") << u"order.items.2.deep"_s << QVariant(true);
    QTest::newRow("number as key") << u"order.0"_s << QVariant(u"zero"_s);
    QTest::newRow("empty key") << u"order."_s << QVariant(u"empty"_s);
    QTest::newRow("null") << u"nothing"_s << QVariant::fromValue(nullptr);
    QTest::newRow("table") << u"order.items.2"_s << QVariant(QVariantMap{{u"deep"_s, true}});
    QTest::newRow("missing key") << u"order.price"_s << QVariant();
    QTest::newRow("index out of range") << u"order.items.3"_s << QVariant();
    QTest::newRow("negative index") << u"order.items.-1"_s << QVariant();
    QTest::newRow("key of an array") << u"order.items.first"_s << QVariant();
    QTest::newRow("below a string") << u"name.0"_s << QVariant();
    QTest::newRow("below a missing key") << u"x.y.z"_s << QVariant();
}

void tst_MessageBody::jsonPathsSelectValues()
{
    QFETCH(const QString, path);
    QFETCH(const QVariant, value);
    const Message message(R"({"name": "Grüße", "nothing": null, "order": {
        "id": 7, "0": "zero", "": "empty", "items": [1, 2.5, {"deep": true}]}})"_ba);
    QCOMPARE(message.json(path), value);
    QCOMPARE(message.json(path).isValid(), value.isValid());
    QVERIFY(message.json().toMap().contains(u"order"_s));
}

void tst_MessageBody::jsonOfNothingIsInvalid_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QVariant>("whole");
    QTest::newRow("empty") << ""_ba << QVariant();
    QTest::newRow("text") << "hello"_ba << QVariant();
    QTest::newRow("cut") << "{\"a\": 1"_ba << QVariant();
    QTest::newRow("two values") << "1, 2"_ba << QVariant();
    QTest::newRow("brackets the wrong way") << "1], [2"_ba << QVariant();
    QTest::newRow("number") << "42"_ba << QVariant(42);
    QTest::newRow("string") << "\"a\""_ba << QVariant(u"a"_s);
    QTest::newRow("bool") << "true"_ba << QVariant(true);
    QTest::newRow("array") << "[1]"_ba << QVariant(QVariantList{1});
    QTest::newRow("empty object") << "{}"_ba << QVariant(QVariantMap());
}

void tst_MessageBody::jsonOfNothingIsInvalid()
{
    QFETCH(const QByteArray, body);
    QFETCH(const QVariant, whole);
    const Message message(body);
    QCOMPARE(message.json(), whole);
    QCOMPARE(message.json().isValid(), whole.isValid());
    QVERIFY(!message.json(u"a"_s).isValid());
}

void tst_MessageBody::fromJsonIsReadAsJson()
{
    const QJsonDocument document(QJsonObject{{u"a"_s, QJsonArray{1, u"ü"_s}}});
    Message message = sent(Message::fromJson(document));
    QCOMPARE(message.contentType(), u"application/json"_s);
    QCOMPARE(message.body(), u"{\"a\":[1,\"ü\"]}"_s.toUtf8());
    QCOMPARE(message.jsonDocument(), document);
    QCOMPARE(message.json(u"a.1"_s), QVariant(u"ü"_s));

    message.setBody(u"{\"a\":\"ü\"}"_s.toLatin1());
    message.setContentEncoding(u"ISO-8859-1"_s);
    QCOMPARE(message.json(u"a"_s), QVariant(u"ü"_s));
}

void tst_MessageBody::jsonDocumentReportsErrors()
{
    QJsonParseError error;
    QVERIFY(Message("{"_ba).jsonDocument(&error).isNull());
    QVERIFY(error.error != QJsonParseError::NoError);
    QVERIFY(Message("no"_ba).jsonDocument().isNull());
    QVERIFY(Message("[]"_ba).jsonDocument(&error).isArray());
    QCOMPARE(error.error, QJsonParseError::NoError);
}

QTEST_APPLESS_MAIN(tst_MessageBody)
#include "tst_messagebody.moc"
