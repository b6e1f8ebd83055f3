// SPDX-License-Identifier: MIT
#include "models/topicfilter_p.h"
#include "support/messages.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qstringconverter.h>

#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

Message aMessage()
{
    Message content(R"({"value": 21.5, "unit": "°C", "items": [{"id": 7}, {"id": 8}], "nothing": null, "ok": true})");
    content.setContentType(u"application/json"_s);
    content.setHeaders({{u"x-id"_s, 12},
                        {u"a.b"_s, u"dotted"_s},
                        {u"raw"_s, QByteArray("\xff\x00", 2)},
                        {u"price"_s, QVariant::fromValue(Decimal{2, 1999})},
                        {u"x-death"_s, QVariantList{QVariantMap{{u"queue"_s, u"orders"_s}}}}});
    content.setPriority(3);
    content.setCorrelationId(u"c-1"_s);
    content.setExpiration(std::chrono::seconds(60));
    content.setTimestamp(QDateTime::fromSecsSinceEpoch(1'700'000'000).toUTC());
    return delivered(content.body(), encoded(content), anOrigin(), 42, true);
}

QVariant shown(const Message &message, const QString &column)
{
    return MessageModel::value(message, column, Qt::DisplayRole);
}

} // namespace

// Tests the values of columns, and which messages pass a filter.
class tst_MessageColumns : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void columnShowsTheFieldOfItsName_data();
    void columnShowsTheFieldOfItsName();
    void everyPropertyIsAColumn();
    void absentPropertiesAreEmpty();
    void timesAreShownInLocalTime();
    void largeIntegersAreShownWithAllDigits();
    void invalidJsonIsEmptyWithoutAWarning();
    void unknownColumnIsNamedOnce();
    void bodyIsShownAsTextOrBytes_data();
    void bodyIsShownAsTextOrBytes();
    void longTextIsCut_data();
    void longTextIsCut();
    void modelShowsItsColumns();
    void rolesGiveTheWholeValue();
    void headersHaveTitles();
    void filterMatchesAsATopicExchangeDoes_data();
    void filterMatchesAsATopicExchangeDoes();
};

void tst_MessageColumns::columnShowsTheFieldOfItsName_data()
{
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QVariant>("display");
    const auto both = [](const char *column, const QVariant &value) { QTest::newRow(column) << value << value; };
    both("routingKey", u"stock.nyse"_s);
    both("exchange", u"amq.topic"_s);
    both("consumerTag", u"consumer-1"_s);
    both("deliveryTag", 42ULL);
    both("redelivered", true);
    both("contentType", u"application/json"_s);
    both("correlationId", u"c-1"_s);
    both("priority", 3);
    both("persistent", true);
    both("expiration", 60'000LL);
    both("size", aMessage().body().size());
    both("json.value", 21.5);
    both("json.unit", u"°C"_s);
    both("json.ok", true);
    both("json.items.1.id", 8LL);
    both("json.items.2.id", {});
    both("json.none", {});
    both("json.value.deeper", {});
    both("json.nothing", QVariant::fromValue(nullptr));
    both("headers.x-id", 12);
    both("headers.a.b", u"dotted"_s);
    both("headers.x-death.0.queue", u"orders"_s);
    both("headers.x-death.1.queue", {});
    both("headers.x-death.first.queue", {});
    both("headers.x-id.deeper", {});
    both("headers.none", {});
    QTest::newRow("text") << QVariant(aMessage().text()) << QVariant(aMessage().text());
    QTest::newRow("body") << QVariant(aMessage().body()) << QVariant(aMessage().text());
    QTest::newRow("json.items") << aMessage().json(u"items"_s) << QVariant(u"[{\"id\":7},{\"id\":8}]"_s);
    QTest::newRow("json.items.0") << aMessage().json(u"items.0"_s) << QVariant(u"{\"id\":7}"_s);
    QTest::newRow("json") << aMessage().json()
                          << QVariant(QString::fromUtf8(aMessage().jsonDocument().toJson(QJsonDocument::Compact)));
    QTest::newRow("headers.raw") << QVariant(QByteArray("\xff\x00", 2)) << QVariant(u"ff 00"_s);
    QTest::newRow("headers.price") << QVariant::fromValue(Decimal{2, 1999}) << QVariant(u"19.99"_s);
    QTest::newRow("headers.x-death") << aMessage().header(u"x-death"_s) << QVariant(u"[{\"queue\":\"orders\"}]"_s);
}

void tst_MessageColumns::columnShowsTheFieldOfItsName()
{
    QFETCH(const QVariant, value);
    QFETCH(const QVariant, display);
    const QString column = QLatin1StringView(QTest::currentDataTag());
    QVERIFY(MessageModel::isColumn(column));
    QCOMPARE(MessageModel::value(aMessage(), column), value);
    QCOMPARE(MessageModel::value(aMessage(), column, Qt::DisplayRole), display);
}

void tst_MessageColumns::everyPropertyIsAColumn()
{
    const QMetaObject &properties = Message::staticMetaObject;
    QVERIFY(properties.propertyCount() > 15);
    for (int i = 0; i < properties.propertyCount(); ++i) {
        const QString name = QLatin1StringView(properties.property(i).name());
        QVERIFY2(MessageModel::isColumn(name), qPrintable(name));
        QVERIFY2(MessageModel::columnTitle(name) != name, qPrintable(name));
    }
}

void tst_MessageColumns::absentPropertiesAreEmpty()
{
    for (const QString &column : {u"timestamp"_s, u"priority"_s, u"deliveryTag"_s, u"expiration"_s, u"json"_s})
        QVERIFY2(!MessageModel::value(Message(), column).isValid(), qPrintable(column));
    for (const QString &column : {u"contentType"_s, u"routingKey"_s, u"text"_s})
        QCOMPARE(shown(Message(), column), QVariant(QString()));
}

void tst_MessageColumns::timesAreShownInLocalTime()
{
    const QDateTime time = QDateTime::fromSecsSinceEpoch(1'700'000'000).toUTC();
    QCOMPARE(MessageModel::value(aMessage(), u"timestamp"_s).toDateTime(), time);
    QCOMPARE(MessageModel::value(aMessage(), u"timestamp"_s).toDateTime().timeSpec(), Qt::UTC);
    QCOMPARE(shown(aMessage(), u"timestamp"_s).toDateTime(), time);
    QCOMPARE(shown(aMessage(), u"timestamp"_s).toDateTime().timeSpec(), Qt::LocalTime);
}

// In QML numbers are doubles, which are exact up to 2^53.
void tst_MessageColumns::largeIntegersAreShownWithAllDigits()
{
    constexpr qint64 exact = 9007199254740992; // 2^53
    Message message("{\"id\":9007199254740993,\"ids\":[-9007199254740993]}");
    const auto showHeader = [&](const QVariant &value) {
        message.setHeader(u"x"_s, value);
        return shown(message, u"headers.x"_s);
    };
    QCOMPARE(showHeader(exact), QVariant(exact));
    QCOMPARE(showHeader(-exact), QVariant(-exact));
    QCOMPARE(showHeader(exact + 1), QVariant(u"9007199254740993"_s));
    QCOMPARE(showHeader(-exact - 1), QVariant(u"-9007199254740993"_s));
    QCOMPARE(showHeader(std::numeric_limits<qint64>::min()), QVariant(u"-9223372036854775808"_s));
    QCOMPARE(showHeader(std::numeric_limits<quint64>::max()), QVariant(u"18446744073709551615"_s));
    QCOMPARE(showHeader(QVariantList{exact + 1}), QVariant(u"[9007199254740993]"_s));
    QCOMPARE(showHeader(QVariantList{std::numeric_limits<quint64>::max()}), QVariant(u"[\"18446744073709551615\"]"_s));
    QCOMPARE(showHeader(QVariantMap{{u"a"_s, QVariant::fromValue(Decimal{2, 150})}}), QVariant(u"{\"a\":1.5}"_s));
    QCOMPARE(showHeader(QVariantList{QByteArray("\xff\x00", 2)}), QVariant(u"[\"ff 00\"]"_s));
    QCOMPARE(shown(message, u"json.id"_s), QVariant(u"9007199254740993"_s));
    QCOMPARE(shown(message, u"json.ids"_s), QVariant(u"[-9007199254740993]"_s));
    QCOMPARE(MessageModel::value(message, u"json.id"_s), QVariant(exact + 1)); // the number itself
    const Message last = delivered({}, encoded(message), anOrigin(), std::numeric_limits<quint64>::max(), false);
    QCOMPARE(shown(last, u"deliveryTag"_s), QVariant(u"18446744073709551615"_s));
}

void tst_MessageColumns::invalidJsonIsEmptyWithoutAWarning()
{
    QTest::failOnWarning(QRegularExpression(u".*"_s));
    for (const QByteArray &body : {""_ba, "no JSON"_ba, "{\"value\": "_ba, "\xff\x00"_ba}) {
        QVERIFY(!MessageModel::value(Message(body), u"json"_s).isValid());
        QVERIFY(!MessageModel::value(Message(body), u"json.value"_s).isValid());
        QVERIFY(!shown(Message(body), u"json"_s).isValid());
        QVERIFY(!shown(Message(body), u"json.value"_s).isValid());
    }
}

void tst_MessageColumns::unknownColumnIsNamedOnce()
{
    for (const QString &name : {u"routingkey"_s, u""_s, u"jsonvalue"_s, u"header.x"_s, u"x"_s})
        QVERIFY2(!MessageModel::isColumn(name), qPrintable(name));

    QTest::failOnWarning(QRegularExpression(u".*"_s));
    MessageModel model;
    model.setUpdateInterval(0);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"\"routing_key\""_s));
    model.setColumns({u"text"_s, u"routing_key"_s});
    model.append({aMessage()});
    QTRY_COMPARE(model.rowCount(), 1);
    QCOMPARE(model.columnCount(), 2);
    QVERIFY(!model.index(0, 1).data().isValid());
    QVERIFY(!model.index(0, 1).data(Qt::EditRole).isValid());
    QCOMPARE(model.headerData(1, Qt::Horizontal), QVariant(u"routing_key"_s));
}

void tst_MessageColumns::bodyIsShownAsTextOrBytes_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QString>("encoding");
    QTest::addColumn<QString>("display");
    const QString large = u"00 "_s.repeated(32).chopped(1);
    QTest::newRow("empty") << ""_ba << QString() << QString();
    QTest::newRow("UTF-8") << "Grüße"_ba << QString() << u"Grüße"_s;
    QTest::newRow("Latin 1") << "Gr\xfc\xdf"_ba << u"ISO-8859-1"_s << u"Grüß"_s;
    QTest::newRow("lines and colours") << "\x1b[1ma\tb\r\nc"_ba << QString() << u"\x1b[1ma\tb\r\nc"_s;
    QTest::newRow("no UTF-8") << "a\xff"_ba << QString() << u"61 ff"_s;
    QTest::newRow("cut UTF-8") << "a\xc3"_ba << QString() << u"61 c3"_s;
    QTest::newRow("control characters") << QByteArray("a\0\1", 3) << QString() << u"61 00 01"_s;
    QTest::newRow("compressed") << "\x1f\x8b\x08"_ba << u"gzip"_s << u"1f 8b 08"_s;
    QTest::newRow("32 bytes") << QByteArray(32, '\0') << QString() << large;
    QTest::newRow("1 MiB") << QByteArray(1 << 20, '\0') << QString() << large + u" … (1048576 bytes)"_s;
    QTest::newRow("1 MiB that begins as text")
        << QByteArray(1 << 12, 'a') + QByteArray(1 << 20, '\0') << QString() << QString(1000, u'a') + u'…';
}

void tst_MessageColumns::bodyIsShownAsTextOrBytes()
{
    QFETCH(const QByteArray, body);
    QFETCH(const QString, encoding);
    QFETCH(const QString, display);
    Message message(body);
    message.setContentEncoding(encoding);
    QCOMPARE(shown(message, u"text"_s), QVariant(display));
    QCOMPARE(shown(message, u"body"_s), QVariant(display));
    QCOMPARE(MessageModel::value(message, u"body"_s), QVariant(body));
    QCOMPARE(MessageModel::value(message, u"text"_s), QVariant(message.text()));
}

void tst_MessageColumns::longTextIsCut_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("encoding");
    QTest::addColumn<QString>("display");
    const QString emoji = u"😀"_s;
    const QString a1000(1000, u'a');
    for (const QString &encoding : {u"UTF-8"_s, u"UTF-16LE"_s, u"UTF-32BE"_s}) {
        const auto row = [&](const char *name, const QString &text, const QString &display) {
            QTest::addRow("%s %s", name, qPrintable(encoding)) << text << encoding << display;
        };
        row("1000", a1000, a1000);
        row("1001", a1000 + u'b', a1000 + u'…');
        row("1 MiB", QString(1 << 20, u'a'), a1000 + u'…');
        row("wide", emoji.repeated(5000), emoji.repeated(500) + u'…');
        row("cut at a pair", u'a' + emoji.repeated(5000), u'a' + emoji.repeated(499) + u'…');
        row("cut in a character", u"€"_s.repeated(5000), u"€"_s.repeated(1000) + u'…');
    }
}

void tst_MessageColumns::longTextIsCut()
{
    QFETCH(const QString, text);
    QFETCH(const QString, encoding);
    QFETCH(const QString, display);
    QStringEncoder encoder(encoding.toLatin1().constData());
    Message message(QByteArray(encoder.encode(text)));
    message.setContentEncoding(encoding);
    QCOMPARE(shown(message, u"text"_s).toString(), display);
    QCOMPARE(MessageModel::value(message, u"text"_s).toString(), text);

    const Message json = Message::fromJson(QJsonDocument(QJsonObject{{u"text"_s, text}}));
    QCOMPARE(shown(json, u"json.text"_s).toString(), display);
    QVERIFY(shown(json, u"json"_s).toString().size() <= 1001);
    QCOMPARE(MessageModel::value(json, u"json.text"_s).toString(), text);
}

void tst_MessageColumns::modelShowsItsColumns()
{
    MessageModel model;
    model.setUpdateInterval(0);
    model.setColumns({u"routingKey"_s, u"json.value"_s, u"json.items.0"_s, u"headers.x-id"_s});
    model.append({aMessage()});
    QTRY_COMPARE(model.rowCount(), 1);
    for (int i = 0; i < 2; ++i) { // the second time the values are cached
        QCOMPARE(model.index(0, 0).data(), QVariant(u"stock.nyse"_s));
        QCOMPARE(model.index(0, 1).data(), QVariant(21.5));
        QCOMPARE(model.index(0, 2).data(), QVariant(u"{\"id\":7}"_s));
        QCOMPARE(model.index(0, 2).data(Qt::EditRole), QVariant(QVariantMap{{u"id"_s, 7LL}}));
        QCOMPARE(model.index(0, 3).data(), QVariant(12));
    }
    QVERIFY(!model.index(0, 0).data(Qt::DecorationRole).isValid());
    QVERIFY(!model.data(QModelIndex()).isValid());
}

void tst_MessageColumns::rolesGiveTheWholeValue()
{
    MessageModel model;
    model.setUpdateInterval(0);
    const QByteArray text(1 << 20, 'a');
    model.append({Message(text), aMessage()});
    QTRY_COMPARE(model.rowCount(), 2);
    QCOMPARE(model.index(1, 0).data(MessageModel::TextRole), QVariant(QString::fromUtf8(text)));
    const Message message = aMessage();
    const QHash<QByteArray, QVariant> expected{
        {"message", QVariant::fromValue(message)},
        {"routingKey", message.routingKey()},
        {"exchange", message.exchange()},
        {"text", message.text()},
        {"json", message.json()},
        {"headers", message.headers()},
        {"contentType", message.contentType()},
        {"timestamp", message.timestamp()},
        {"size", message.body().size()},
        {"redelivered", true},
        {"display", message.routingKey()},
        {"edit", message.routingKey()},
    };
    const QHash<int, QByteArray> roles = model.roleNames();
    for (const auto &[name, value] : expected.asKeyValueRange()) {
        const int role = roles.key(name, -1);
        QVERIFY2(role >= 0, name.constData());
        if (name == "message")
            QCOMPARE(model.index(0, 0).data(role).value<Message>().body(), message.body());
        else
            QCOMPARE(model.index(0, 0).data(role), value);
    }
}

void tst_MessageColumns::headersHaveTitles()
{
    MessageModel model;
    model.setColumns({u"routingKey"_s, u"json"_s, u"json.order.id"_s, u"headers.x-id"_s});
    const auto title = [&model](int section) { return model.headerData(section, Qt::Horizontal).toString(); };
    QCOMPARE(title(0), u"Routing key"_s);
    QCOMPARE(title(1), u"JSON"_s);
    QCOMPARE(title(2), u"order.id"_s);
    QCOMPARE(title(3), u"x-id"_s);
    QVERIFY(!model.headerData(4, Qt::Horizontal).isValid());
    QVERIFY(!model.headerData(-1, Qt::Horizontal).isValid());
    QCOMPARE(model.headerData(0, Qt::Vertical).toInt(), 1);
}

void tst_MessageColumns::filterMatchesAsATopicExchangeDoes_data()
{
    QTest::addColumn<QStringList>("matching");
    QTest::addColumn<QStringList>("other");
    const auto row = [](const char *pattern, const QStringList &matching, const QStringList &other) {
        QTest::newRow(pattern) << matching << other;
    };
    row("a.b", {u"a.b"_s}, {u""_s, u"a"_s, u"a.b.c"_s, u"a.c"_s, u"a.B"_s, u"a.b."_s, u".a.b"_s});
    row("*", {u"a"_s, u"*"_s}, {u""_s, u"a.b"_s, u"."_s});
    row("*.*", {u"a.b"_s, u"."_s, u"a."_s}, {u""_s, u"a"_s, u"a.b.c"_s});
    row("a.*.c", {u"a.b.c"_s, u"a..c"_s}, {u"a.c"_s, u"a.b.b.c"_s});
    row("#", {u""_s, u"a"_s, u"a.b"_s, u"."_s}, {});
    row("#.c", {u"c"_s, u"b.c"_s, u"a.b.c"_s, u"c.c"_s, u".c"_s}, {u""_s, u"c.a"_s, u"bc"_s, u"c."_s});
    row("a.#", {u"a"_s, u"a.b"_s, u"a.b.c"_s, u"a."_s}, {u""_s, u"b"_s, u"ab"_s, u"b.a"_s});
    row("a.#.c", {u"a.c"_s, u"a.b.c"_s, u"a.b.b.c"_s, u"a.c.c"_s, u"a..c"_s}, {u"a"_s, u"c"_s, u"a.b"_s, u"a.c.b"_s});
    row("#.b.#", {u"b"_s, u"a.b"_s, u"b.c"_s, u"a.b.c"_s, u"a.b.a.b"_s}, {u""_s, u"a"_s, u"a.c"_s});
    row("#.#", {u""_s, u"a"_s, u"a.b.c"_s}, {});
    row("*.#", {u"a"_s, u"a.b"_s, u"."_s}, {u""_s});
    row("#.*", {u"a"_s, u"a.b"_s}, {u""_s});
    row("a.#.*.c", {u"a.b.c"_s, u"a.x.b.c"_s}, {u"a.c"_s});
    row("#.a.#.b.*", {u"a.b.c"_s, u"x.a.y.a.b.b.c"_s}, {u"a.b"_s, u"b.a.c"_s, u"a.b.c.d"_s});
    row(".", {u"."_s}, {u""_s, u"a"_s, u"a."_s, u".."_s});
    row("a#", {u"a#"_s}, {u"a"_s, u"ab"_s});
    row("#.x.#.x.#.x.#.x.#.y", {}, {u"x."_s.repeated(60) + u'z'}); // matching must not take exponential time
}

void tst_MessageColumns::filterMatchesAsATopicExchangeDoes()
{
    QFETCH(const QStringList, matching);
    QFETCH(const QStringList, other);
    const TopicFilter filter{QLatin1StringView(QTest::currentDataTag())};
    for (const QString &key : matching)
        QVERIFY2(filter.matches(key), qPrintable(key));
    for (const QString &key : other)
        QVERIFY2(!filter.matches(key), qPrintable(key));
}

QTEST_GUILESS_MAIN(tst_MessageColumns)
#include "tst_messagecolumns.moc"
