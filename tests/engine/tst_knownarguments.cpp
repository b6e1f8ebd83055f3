// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtCore/qtimezone.h>
#include <QtTest/qtest.h>

#include <limits>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

// RabbitMQ answers a wrong value of an optional argument by closing the channel, so none is sent.
class tst_KnownArguments : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void queueArgumentIsChecked_data();
    void queueArgumentIsChecked();
    void exchangeArgumentIsChecked_data();
    void exchangeArgumentIsChecked();
    void consumeArgumentIsChecked_data();
    void consumeArgumentIsChecked();
    void wrongValuesOfHelpersAreRefused_data();
    void wrongValuesOfHelpersAreRefused();
    void sameNameElsewhereIsAnotherArgument();

private:
    static void columns();
    template <typename Method, typename Call>
    static void check(Call call);
};

void tst_KnownArguments::columns()
{
    QTest::addColumn<QString>("argument");
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QString>("problem"); // empty: it is sent
}

template <typename Method, typename Call>
void tst_KnownArguments::check(Call call)
{
    QFETCH(QString, argument);
    QFETCH(QVariant, value);
    QFETCH(QString, problem);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const Error error = call(channel, FieldTable{{argument, value}, {u"x-mine"_s, -1}});
    if (problem.isEmpty()) {
        QCOMPARE(error, Error());
        if constexpr (std::is_same_v<Method, Wire::BasicConsume>)
            s.expectSent<Wire::BasicQos>();
        s.expectSent<Method>();
        return;
    }
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QCOMPARE(error.text(), u"arguments: \"%1\": %2"_s.arg(argument, problem));
    s.expectNothingSent().expectNoEvent();
    QVERIFY(channel.declareQueue(u"q"_s, {}, false)); // unharmed
}

void tst_KnownArguments::queueArgumentIsChecked_data()
{
    columns();
    struct Range {
        QString name;
        qint64 minimum;
        qint64 maximum;
    };
    constexpr qint64 any = std::numeric_limits<qint64>::max();
    constexpr qint64 tenYears = 315'360'000'000;
    const Range ranges[] = {{u"x-message-ttl"_s, 0, tenYears}, {u"x-expires"_s, 1, tenYears},
                            {u"x-max-length"_s, 0, any},       {u"x-max-length-bytes"_s, 0, any},
                            {u"x-max-priority"_s, 1, 255},     {u"x-delivery-limit"_s, 0, any}};
    for (const Range &range : ranges) {
        const auto row = [&](const char *what) -> QTestData & {
            return QTest::addRow("%s %s", qPrintable(range.name), what) << range.name;
        };
        row("least") << QVariant(range.minimum) << u""_s;
        row("most") << QVariant(range.maximum) << u""_s;
        row("as int") << QVariant(7) << u""_s;
        row("as byte") << QVariant::fromValue(quint8(7)) << u""_s;
        row("as unsigned") << QVariant(7ull) << u""_s;
        row("too little") << QVariant(range.minimum - 1)
                          << u"%1, at least %2 is possible"_s.arg(range.minimum - 1).arg(range.minimum);
        if (range.maximum < any)
            row("too much") << QVariant(range.maximum + 1)
                            << u"%1, at most %2 is possible"_s.arg(range.maximum + 1).arg(range.maximum);
        row("double") << QVariant(7.0) << u"an integer is needed, not a double"_s;
        row("text") << QVariant(u"7"_s) << u"an integer is needed, not a QString"_s;
    }
    for (const QString &behaviour : {u"drop-head"_s, u"reject-publish"_s, u"reject-publish-dlx"_s})
        QTest::newRow(qPrintable(behaviour)) << u"x-overflow"_s << QVariant(behaviour) << u""_s;
    const QString possible = u"\"%1\" is none of drop-head, reject-publish, reject-publish-dlx"_s;
    QTest::newRow("no such overflow") << u"x-overflow"_s << QVariant(u"drop"_s) << possible.arg(u"drop"_s);
    QTest::newRow("empty overflow") << u"x-overflow"_s << QVariant(u""_s) << possible.arg(u""_s);
    QTest::newRow("overflow in bytes") << u"x-overflow"_s << QVariant("drop-head"_ba) << possible.arg(u"drop-head"_s);

    const QString wide(128, QChar(0x44f)); // 256 bytes in 128 characters
    for (const QString &name : {u"x-dead-letter-exchange"_s, u"x-dead-letter-routing-key"_s, u"x-queue-type"_s}) {
        QTest::addRow("%s empty", qPrintable(name)) << name << QVariant(QString()) << u""_s;
        QTest::addRow("%s longest", qPrintable(name)) << name << QVariant(wide.first(127) + u'k') << u""_s;
        QTest::addRow("%s too long", qPrintable(name))
            << name << QVariant(wide) << u"256 bytes of UTF-8, at most 255 are possible"_s;
        QTest::addRow("%s number", qPrintable(name)) << name << QVariant(1) << u"a text is needed, not a int"_s;
    }
    QTest::newRow("single") << u"x-single-active-consumer"_s << QVariant(true) << u""_s;
    QTest::newRow("single as int") << u"x-single-active-consumer"_s << QVariant(1) << u"a bool is needed, not a int"_s;
    QTest::newRow("unknown") << u"x-theirs"_s << QVariant(-1) << u""_s;
    QTest::newRow("no value") << u"x-expires"_s << QVariant() << u"an integer is needed, not a void"_s;
}

void tst_KnownArguments::queueArgumentIsChecked()
{
    check<Wire::QueueDeclare>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        return channel.declareQueue(u"q"_s, {.arguments = table}, false).error();
    });
}

void tst_KnownArguments::exchangeArgumentIsChecked_data()
{
    columns();
    QTest::newRow("alternate") << u"alternate-exchange"_s << QVariant(u"amq.fanout"_s) << u""_s;
    QTest::newRow("alternate too long") << u"alternate-exchange"_s << QVariant(QString(256, u'e'))
                                        << u"256 bytes of UTF-8, at most 255 are possible"_s;
    QTest::newRow("alternate in bytes") << u"alternate-exchange"_s << QVariant("amq.fanout"_ba)
                                        << u"a text is needed, not a QByteArray"_s;
    QTest::newRow("unknown") << u"x-delayed-type"_s << QVariant(u"topic"_s) << u""_s;
}

void tst_KnownArguments::exchangeArgumentIsChecked()
{
    check<Wire::ExchangeDeclare>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        return channel.declareExchange(u"e"_s, u"topic"_s, {.arguments = table}, false).error();
    });
}

void tst_KnownArguments::consumeArgumentIsChecked_data()
{
    columns();
    for (const int priority : {std::numeric_limits<int>::min(), -1, 0, std::numeric_limits<int>::max()})
        QTest::addRow("priority %d", priority) << u"x-priority"_s << QVariant(priority) << u""_s;
    QTest::newRow("priority as text") << u"x-priority"_s << QVariant(u"1"_s)
                                      << u"an integer is needed, not a QString"_s;

    const QVariant offsets[] = {
        u"first"_s, u"last"_s, u"next"_s,       u"1h"_s,
        u"90s"_s,   u"7D"_s,   u"2Y"_s,         u"3M"_s,
        u"10m"_s,   0,         5'000'000'000LL, QDateTime(QDate(2024, 2, 29), QTime(12, 0), QTimeZone::utc())};
    for (const QVariant &offset : offsets)
        QTest::addRow("offset %s", qPrintable(offset.toString())) << u"x-stream-offset"_s << offset << u""_s;
    const QString possible = u"\"%1\" is none of first, last, next, a number, a QDateTime, an interval such as 1h"_s;
    const QVariant wrong[] = {u"begin"_s, u""_s,     u"h"_s,  u"1"_s,     u"-1h"_s, u"1 h"_s,
                              u"1w"_s,    u"1.5h"_s, u"١h"_s, "first"_ba, 1.5,      true};
    for (const QVariant &offset : wrong) {
        QTest::addRow("not %s %s", offset.typeName(), qPrintable(offset.toString()))
            << u"x-stream-offset"_s << offset << possible.arg(offset.toString());
    }
    QTest::newRow("offset below 0") << u"x-stream-offset"_s << QVariant(-1) << u"-1, at least 0 is possible"_s;
    QTest::newRow("offset before 1970") << u"x-stream-offset"_s << QVariant(QDateTime::fromSecsSinceEpoch(-1))
                                        << u"a time before 1970 cannot be sent in a field table"_s;
    QTest::newRow("no time") << u"x-stream-offset"_s << QVariant(QDateTime())
                             << u"an invalid QDateTime cannot be sent in a field table"_s;
}

void tst_KnownArguments::consumeArgumentIsChecked()
{
    check<Wire::BasicConsume>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        const ConsumeOptions options{.consumerTag = u"a"_s, .prefetch = quint16(10), .arguments = table};
        return channel.consume(u"q"_s, options, &channel).error();
    });
}

void tst_KnownArguments::wrongValuesOfHelpersAreRefused_data()
{
    QTest::addColumn<QString>("argument");
    QTest::addColumn<FieldTable>("arguments");
    const auto row = [](const char *argument, const QueueOptions &options) {
        QTest::newRow(argument) << QString::fromLatin1(argument) << options.arguments;
    };
    const QueueOptions queue = QueueOptions::quorum();
    row("x-message-ttl", queue.withMessageTtl(-1ms));
    row("x-expires", queue.withExpiry(0ms));
    row("x-max-length", queue.withMaxLength(-1));
    row("x-max-length-bytes", queue.withMaxLengthBytes(-1));
    row("x-overflow", queue.withOverflow(u"drop-tail"_s));
    row("x-dead-letter-exchange", queue.withDeadLetter(QString(256, u'e')));
    row("x-dead-letter-routing-key", queue.withDeadLetter({}, QString(256, u'k')));
    row("x-max-priority", queue.withMaxPriority(0));
    row("x-delivery-limit", queue.withDeliveryLimit(-1));
}

void tst_KnownArguments::wrongValuesOfHelpersAreRefused()
{
    QFETCH(QString, argument);
    QFETCH(FieldTable, arguments);
    Script s;
    s.open();
    const Error error = s.openChannel().declareQueue(u"q"_s, {.arguments = arguments}, false).error();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().startsWith(u"arguments: \"%1\": "_s.arg(argument)), qPrintable(error.text()));
    s.expectNothingSent();
}

void tst_KnownArguments::sameNameElsewhereIsAnotherArgument()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const FieldTable table{{u"x-max-priority"_s, u"any"_s}, {u"x-priority"_s, u"any"_s}};
    QVERIFY(channel.bindQueue(u"q"_s, u"amq.headers"_s, {}, table));
    s.expectSent<Wire::QueueBind>();
}

QTEST_APPLESS_MAIN(tst_KnownArguments)
#include "tst_knownarguments.moc"
