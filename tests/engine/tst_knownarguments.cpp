// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtCore/qtimezone.h>
#include <QtTest/qtest.h>

#include <limits>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

Q_DECLARE_METATYPE(AmqpQt::QueueOptions)

// RabbitMQ closes the channel for an invalid value of an optional argument, so the engine never sends one.
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
    void wrongValuesOfHelpersAreRejected_data();
    void wrongValuesOfHelpersAreRejected();
    void queuesThatNoBrokerAcceptsAreRejected_data();
    void queuesThatNoBrokerAcceptsAreRejected();
    void theDefaultExchangeIsLeftAlone();
    void messagesThatNoBrokerAcceptsAreRejected_data();
    void messagesThatNoBrokerAcceptsAreRejected();
    void anImpersonatorMayPublishForOthers();
    void userIdIsNotCheckedWithoutAPassword();
    void messagesThatWaitedForAnotherUserAreRejected();
    void requestsForDirectRepliesNeedTheirConsumer();
    void requestsAreCheckedAgainWhereTheyWaited();
    void directRepliesHaveOneConsumerThatDoesNotAcknowledge();
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
    QTest::addColumn<QString>("problem"); // empty if the value is sent
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
    QVERIFY(channel.topology().declareQueue(u"q"_s, {}, false)); // the channel is not affected
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
    const Range ranges[] = {
        {u"x-message-ttl"_s, 0, tenYears},     {u"x-expires"_s, 1, tenYears},
        {u"x-max-length"_s, 0, any},           {u"x-max-length-bytes"_s, 0, any},
        {u"x-max-priority"_s, 0, 255},         {u"x-max-in-memory-length"_s, 0, any},
        {u"x-max-in-memory-bytes"_s, 0, any},  {u"x-quorum-initial-group-size"_s, 1, any},
        {u"x-initial-cluster-size"_s, 1, any}, {u"x-stream-max-segment-size-bytes"_s, 0, 3'000'000'000},
        {u"x-delayed-retry-min"_s, 0, any},    {u"x-delayed-retry-max"_s, 0, any}};
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
                          << u"%1 is out of range; the minimum is %2"_s.arg(range.minimum - 1).arg(range.minimum);
        if (range.maximum < any)
            row("too much") << QVariant(range.maximum + 1)
                            << u"%1 is out of range; the maximum is %2"_s.arg(range.maximum + 1).arg(range.maximum);
        row("double") << QVariant(7.0) << u"the value must be an integer, but its type is double"_s;
        row("text") << QVariant(u"7"_s) << u"the value must be an integer, but its type is QString"_s;
    }
    for (const QString &behaviour : {u"drop-head"_s, u"reject-publish"_s, u"reject-publish-dlx"_s})
        QTest::newRow(qPrintable(behaviour)) << u"x-overflow"_s << QVariant(behaviour) << u""_s;
    const QString possible = u"\"%1\" is not one of drop-head, reject-publish, reject-publish-dlx"_s;
    QTest::newRow("no such overflow") << u"x-overflow"_s << QVariant(u"drop"_s) << possible.arg(u"drop"_s);
    QTest::newRow("empty overflow") << u"x-overflow"_s << QVariant(u""_s) << possible.arg(u""_s);
    QTest::newRow("overflow in bytes") << u"x-overflow"_s << QVariant("drop-head"_ba) << possible.arg(u"drop-head"_s);

    const QString wide(128, QChar(0x44f)); // 256 bytes in 128 characters
    for (const QString &name : {u"x-dead-letter-exchange"_s, u"x-queue-type"_s}) {
        QTest::addRow("%s empty", qPrintable(name)) << name << QVariant(QString()) << u""_s;
        QTest::addRow("%s of any length", qPrintable(name)) << name << QVariant(wide) << u""_s;
        QTest::addRow("%s bytes", qPrintable(name))
            << name << QVariant("x"_ba) << u"the value must be a string, but its type is QByteArray"_s;
        QTest::addRow("%s number", qPrintable(name))
            << name << QVariant(1) << u"the value must be a string, but its type is int"_s;
    }
    for (const QString &age : {u"1h"_s, u"01Y"_s, u"99999999999999999999D"_s})
        QTest::addRow("age %s", qPrintable(age)) << u"x-max-age"_s << QVariant(age) << u""_s;
    for (const QString &age : {u"0h"_s, u"-1h"_s, u"5x"_s, u""_s, u"h"_s, u"10"_s, u"5h1"_s, u" 1h"_s}) {
        QTest::addRow("no age %s", qPrintable(age))
            << u"x-max-age"_s << QVariant(age)
            << u"\"%1\" is not an interval such as 7D, a number above 0 followed by Y, M, D, h, m or s"_s.arg(age);
    }
    for (const int version : {1, 2})
        QTest::addRow("version %d", version) << u"x-queue-version"_s << QVariant(version) << u""_s;
    QTest::newRow("version 0") << u"x-queue-version"_s << QVariant(0) << u"0 is out of range; the minimum is 1"_s;
    QTest::newRow("version 3") << u"x-queue-version"_s << QVariant(3) << u"3 is out of range; the maximum is 2"_s;
    QTest::newRow("version as text") << u"x-queue-version"_s << QVariant(u"2"_s)
                                     << u"the value must be an integer, but its type is QString"_s;
    for (const QString &locator : {u"client-local"_s, u"random"_s, u"min-masters"_s})
        QTest::addRow("master %s", qPrintable(locator)) << u"x-queue-master-locator"_s << QVariant(locator) << u""_s;
    QTest::newRow("no master locator") << u"x-queue-master-locator"_s << QVariant(u"balanced"_s)
                                       << u"\"balanced\" is not one of client-local, random, min-masters"_s;
    QTest::newRow("master locator as number")
        << u"x-queue-master-locator"_s << QVariant(1) << u"\"1\" is not one of client-local, random, min-masters"_s;
    QTest::newRow("strategy") << u"x-dead-letter-strategy"_s << QVariant(u"at-least-once"_s) << u""_s;
    QTest::newRow("no strategy") << u"x-dead-letter-strategy"_s << QVariant(u"never"_s)
                                 << u"\"never\" is not one of at-most-once, at-least-once"_s;
    for (const QString &locator : {u"client-local"_s, u"balanced"_s, u"random"_s, u"least-leaders"_s, u"min-masters"_s})
        QTest::newRow(qPrintable(locator)) << u"x-queue-leader-locator"_s << QVariant(locator) << u""_s;
    for (const QString &type : {u"disabled"_s, u"all"_s, u"failed"_s, u"returned"_s})
        QTest::newRow(qPrintable(type)) << u"x-delayed-retry-type"_s << QVariant(type) << u""_s;
    QTest::newRow("no retry type") << u"x-delayed-retry-type"_s << QVariant(u"some"_s)
                                   << u"\"some\" is not one of disabled, all, failed, returned"_s;
    QTest::newRow("no locator")
        << u"x-queue-leader-locator"_s << QVariant(u"here"_s)
        << u"\"here\" is not one of client-local, balanced, random, least-leaders, min-masters"_s;
    // RabbitMQ accepts any value of these arguments.
    for (const QVariant &limit :
         {QVariant(-2), QVariant(-1), QVariant(0), QVariant(7), QVariant(1.0), QVariant(u"7"_s)})
        QTest::addRow("limit %s", qPrintable(limit.toString())) << u"x-delivery-limit"_s << limit << u""_s;
    QTest::newRow("timeout") << u"x-consumer-timeout"_s << QVariant(-1) << u""_s;
    QTest::newRow("mode") << u"x-queue-mode"_s << QVariant(u"any"_s) << u""_s;
    QTest::newRow("single") << u"x-single-active-consumer"_s << QVariant(true) << u""_s;
    QTest::newRow("single as int") << u"x-single-active-consumer"_s << QVariant(1)
                                   << u"the value must be a bool, but its type is int"_s;
    QTest::newRow("unknown") << u"x-theirs"_s << QVariant(-1) << u""_s;
    QTest::newRow("no value") << u"x-expires"_s << QVariant()
                              << u"the value must be an integer, but its type is void"_s;
}

void tst_KnownArguments::queueArgumentIsChecked()
{
    check<Wire::QueueDeclare>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        return channel.topology().declareQueue(u"q"_s, {.arguments = table}, false).error();
    });
}

void tst_KnownArguments::exchangeArgumentIsChecked_data()
{
    columns();
    QTest::newRow("alternate") << u"alternate-exchange"_s << QVariant(u"amq.fanout"_s) << u""_s;
    QTest::newRow("alternate of any length") << u"alternate-exchange"_s << QVariant(QString(256, u'e')) << u""_s;
    QTest::newRow("alternate in bytes") << u"alternate-exchange"_s << QVariant("amq.fanout"_ba)
                                        << u"the value must be a string, but its type is QByteArray"_s;
    QTest::newRow("unknown") << u"x-delayed-type"_s << QVariant(u"topic"_s) << u""_s;
}

void tst_KnownArguments::exchangeArgumentIsChecked()
{
    check<Wire::ExchangeDeclare>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        return channel.topology().declareExchange(u"e"_s, u"topic"_s, {.arguments = table}, false).error();
    });
}

void tst_KnownArguments::consumeArgumentIsChecked_data()
{
    columns();
    for (const int priority : {std::numeric_limits<int>::min(), -1, 0, std::numeric_limits<int>::max()})
        QTest::addRow("priority %d", priority) << u"x-priority"_s << QVariant(priority) << u""_s;
    QTest::newRow("priority as text") << u"x-priority"_s << QVariant(u"1"_s)
                                      << u"the value must be an integer, but its type is QString"_s;

    const QVariant offsets[] = {u"first"_s,
                                u"last"_s,
                                u"next"_s,
                                u"1h"_s,
                                u"90s"_s,
                                u"7D"_s,
                                u"2Y"_s,
                                u"3M"_s,
                                u"10m"_s,
                                0,
                                -1,
                                "first"_ba,
                                5'000'000'000LL,
                                QDateTime(QDate(2024, 2, 29), QTime(12, 0), QTimeZone::utc())};
    for (const QVariant &offset : offsets)
        QTest::addRow("offset %s", qPrintable(offset.toString())) << u"x-stream-offset"_s << offset << u""_s;
    const QString possible =
        u"\"%1\" is not one of first, last, next, a number, a QDateTime, or an interval such as 1h"_s;
    const QVariant wrong[] = {u"begin"_s, u""_s,   u"h"_s,  u"1"_s, u"-1h"_s, u"1 h"_s, u"1w"_s,
                              u"1.5h"_s,  u"١h"_s, "1h"_ba, 1.5,    true,     u"0s"_s};
    for (const QVariant &offset : wrong) {
        QTest::addRow("not %s %s", offset.typeName(), qPrintable(offset.toString()))
            << u"x-stream-offset"_s << offset << possible.arg(offset.toString());
    }
    QTest::newRow("offset before 1970") << u"x-stream-offset"_s << QVariant(QDateTime::fromSecsSinceEpoch(-1))
                                        << u"a time before 1970 cannot be sent in a field table"_s;
    QTest::newRow("no time") << u"x-stream-offset"_s << QVariant(QDateTime())
                             << u"an invalid QDateTime cannot be sent in a field table"_s;
}

void tst_KnownArguments::consumeArgumentIsChecked()
{
    check<Wire::BasicConsume>([](Engine::ChannelEngine &channel, const FieldTable &table) {
        const ConsumeOptions options{.consumerTag = u"a"_s, .prefetch = quint16(10), .arguments = table};
        return channel.subscriptions().consume(u"q"_s, options, nullptr).error();
    });
}

void tst_KnownArguments::wrongValuesOfHelpersAreRejected_data()
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
}

void tst_KnownArguments::queuesThatNoBrokerAcceptsAreRejected_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<QueueOptions>("options");
    QTest::addColumn<QString>("named"); // empty if the call is sent
    const auto row = [](const char *what, const QString &name, const QueueOptions &options, const char *named) {
        QTest::newRow(what) << name << options << QString::fromLatin1(named);
    };
    row("reserved name", u"amq.mine"_s, {}, "queue");
    row("reserved name of a broker's queue", u"amq.gen-abc"_s, {.exclusive = true}, "queue");
    row("direct reply-to", u"amq.rabbitmq.reply-to"_s, {}, "");
    row("no reserved name", u"amqmine"_s, {}, "");
    row("no name", {}, {}, "");
    row("dead letter key alone", u"q"_s, {.arguments = {{u"x-dead-letter-routing-key"_s, u"k"_s}}}, "arguments");
    row("dead letter key", u"q"_s, QueueOptions().withDeadLetter({}, QString(256, u'k')), "");
    row("no priorities", u"q"_s, QueueOptions().withMaxPriority(0), "");
    row("no delivery limit", u"q"_s, QueueOptions::quorum().withDeliveryLimit(-1), "");
    for (QueueOptions options : {QueueOptions::quorum(), QueueOptions::stream()}) {
        const QByteArray type = options.arguments.value(u"x-queue-type"_s).toByteArray() + ' ';
        row(type.constData(), u"q"_s, options, "");
        row((type + "without a name").constData(), {}, options, "options");
        options.durable = false;
        row((type + "transient").constData(), u"q"_s, options, "options");
        options = {.exclusive = true, .arguments = options.arguments};
        row((type + "exclusive").constData(), u"q"_s, options, "options");
        options = {.autoDelete = true, .arguments = options.arguments};
        row((type + "auto-delete").constData(), u"q"_s, options, "options");
    }
}

void tst_KnownArguments::queuesThatNoBrokerAcceptsAreRejected()
{
    QFETCH(QString, name);
    QFETCH(QueueOptions, options);
    QFETCH(QString, named);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const Error error = channel.topology().declareQueue(name, options, false).error();
    if (named.isEmpty()) {
        QCOMPARE(error, Error());
    } else {
        QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
        QVERIFY2(error.text().startsWith(named + u':'), qPrintable(error.text()));
        s.expectNothingSent();
        // A passive declaration is allowed, since the queue may exist.
        QVERIFY(channel.topology().declareQueue(name.isEmpty() ? u"q"_s : name, options, true));
    }
    s.expectSent<Wire::QueueDeclare>();
}

void tst_KnownArguments::theDefaultExchangeIsLeftAlone()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const Error errors[] = {channel.topology().declareExchange({}, u"direct"_s, {}, false).error(),
                            channel.topology().declareExchange({}, {}, {}, true).error(),
                            channel.topology().deleteExchange({}, false).error(),
                            channel.topology().deleteExchange(u"amq.mine"_s, false).error(),
                            channel.topology().bindQueue(u"q"_s, {}, u"q"_s, {}).error(),
                            channel.topology().unbindQueue(u"q"_s, {}, u"q"_s, {}).error(),
                            channel.topology().bindExchange({}, u"e"_s, {}, {}).error(),
                            channel.topology().bindExchange(u"e"_s, {}, {}, {}).error(),
                            channel.topology().unbindExchange({}, u"e"_s, {}, {}).error(),
                            channel.topology().unbindExchange(u"e"_s, {}, {}, {}).error(),
                            channel.topology().declareExchange(u"e"_s, {}, {}, false).error()};
    for (const Error &error : errors)
        QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY(std::end(errors)[-1].text().startsWith(u"type: "_s));
    s.expectNothingSent();
    // These exchanges may exist already.
    QVERIFY(channel.topology().declareExchange(u"amq.direct"_s, u"direct"_s, {}, false));
    QVERIFY(channel.topology().declareExchange(u"e"_s, {}, {}, true));
    s.expectSent<Wire::ExchangeDeclare>().expectSent<Wire::ExchangeDeclare>();
}

void tst_KnownArguments::messagesThatNoBrokerAcceptsAreRejected_data()
{
    QTest::addColumn<QByteArray>("properties");
    QTest::addColumn<QString>("named"); // empty if the message is sent
    for (const char *taken : {"0", "1", "+1", "007", "315360000000", "-0"})
        QTest::addRow("expiration %s", taken)
            << Wire::encodeProperties({.flags = Wire::ExpirationFlag, .expiration = taken}) << u""_s;
    for (const char *rejected :
         {"", "-1", "315360000001", "99999999999999999999", "abc", "1.5", " 1", "1 ", "0x1", "+", "\xff"}) {
        QTest::addRow("expiration '%s'", rejected)
            << Wire::encodeProperties({.flags = Wire::ExpirationFlag, .expiration = rejected}) << u"expiration"_s;
    }
    const auto user = [](QByteArrayView id) {
        return Wire::encodeProperties({.flags = Wire::UserIdFlag, .userId = id});
    };
    QTest::newRow("own user") << user("somebody") << u""_s;
    for (const char *rejected : {"", "else", "Somebody", "\xff"})
        QTest::addRow("user '%s'", rejected) << user(rejected) << u"userId"_s;
    const auto headers = [](const FieldTable &table) {
        const QByteArray contents = *Wire::encodeTable(table, u""_s);
        return Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {contents}});
    };
    for (const QString &name : {u"CC"_s, u"BCC"_s}) {
        const QVariant taken[] = {QVariantList{u"a"_s}, QVariantList(), QVariantList{1}, QVariantList{QByteArray("a")}};
        for (int i = 0; i < int(std::size(taken)); ++i)
            QTest::addRow("%s %d", qPrintable(name), i) << headers({{name, taken[i]}, {u"x"_s, 1}}) << u""_s;
        const QVariant rejected[] = {u"a"_s, QVariant(), 1, QVariantMap{{u"a"_s, 1}}, QByteArray("a"), true};
        for (int i = 0; i < int(std::size(rejected)); ++i)
            QTest::addRow("no %s %d", qPrintable(name), i)
                << headers({{name, rejected[i]}, {u"x"_s, 1}}) << u"headers"_s;
    }
    QTest::newRow("cc in small letters") << headers({{u"cc"_s, u"a"_s}}) << u""_s;
    const QByteArray undecodable("\x01kZ");
    QTest::newRow("undecodable headers") << Wire::encodeProperties(
                                                {.flags = Wire::HeadersFlag, .headers = {undecodable}})
                                         << u""_s;
}

void tst_KnownArguments::messagesThatNoBrokerAcceptsAreRejected()
{
    QFETCH(QByteArray, properties);
    QFETCH(QString, named);
    Script s;
    s.settings.userName = u"somebody"_s;
    s.open();
    auto &channel = s.openChannel();
    for (int i = 0; i < 2; ++i) { // the second call takes the fast path
        const auto sequence = channel.publish({}, u"q"_s, properties, "body", false);
        QCOMPARE(sequence.error().kind(), named.isEmpty() ? ErrorKind::NoError : ErrorKind::InvalidArgument);
        if (!named.isEmpty())
            QVERIFY2(sequence.error().text().startsWith(named), qPrintable(sequence.error().text()));
        QCOMPARE(channel.publishing().checkContent(properties, "body"), sequence.error()); // used by Publisher
        if (named.isEmpty())
            s.expectPublished("body", "q");
        else
            s.expectNothingSent();
    }
    QVERIFY(channel.publish({}, u"q"_s, QByteArray(2, '\0'), "body", false));
    s.expectPublished("body", "q");
}

void tst_KnownArguments::anImpersonatorMayPublishForOthers()
{
    Script s;
    s.settings.userName = u"somebody"_s;
    s.settings.checksUserId = false;
    s.open();
    QVERIFY(s.openChannel().publish({}, u"q"_s, Wire::encodeProperties({.flags = Wire::UserIdFlag, .userId = "else"}),
                                    "body", false));
    s.expectPublished("body", "q");
}

void tst_KnownArguments::userIdIsNotCheckedWithoutAPassword()
{
    for (const QByteArray &offered : {QByteArray("ANONYMOUS PLAIN"), QByteArray("PLAIN")}) {
        Script s;
        s.settings.userName = u"somebody"_s;
        s.settings.login.mechanisms = {{.name = "ANONYMOUS"}, {.name = "PLAIN"}};
        s.start().brokerStart(encodedServerProperties(), offered).expectSent<Wire::ConnectionStartOk>();
        s.broker(Offer().tune()).expectSent<Wire::ConnectionTuneOk>().expectSent<Wire::ConnectionOpen>();
        s.broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>();
        const QByteArray properties = Wire::encodeProperties({.flags = Wire::UserIdFlag, .userId = "else"});
        const bool isRejected = !s.openChannel().publish({}, u"q"_s, properties, "body", false);
        QCOMPARE(isRejected, offered == "PLAIN");
        s.takeSent();
    }
}

void tst_KnownArguments::messagesThatWaitedForAnotherUserAreRejected()
{
    Script s;
    s.settings.userName = u"somebody"_s;
    s.engine.configure(s.settings);
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::UserIdFlag, .userId = "somebody"});
    QVERIFY(channel.publish({}, u"q"_s, properties, "body", false));
    s.settings.userName = u"else"_s;
    s.open();
    s.expectSent<Wire::ChannelOpen>().broker(Wire::ChannelOpenOk{}).takeEvents();
    QCOMPARE(channel.publish({}, u"q"_s, properties, "body", false).error().kind(), ErrorKind::InvalidArgument);
    s.expectNothingSent();
}

static QByteArray request()
{
    return Wire::encodeProperties({.flags = Wire::ReplyToFlag, .replyTo = "amq.rabbitmq.reply-to"});
}

static const QString DirectReplyTo = u"amq.rabbitmq.reply-to"_s;
static const ConsumeOptions ForReplies{.consumerTag = u"replies"_s, .ackMode = AckMode::NoAck};

void tst_KnownArguments::requestsForDirectRepliesNeedTheirConsumer()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto publish = [&] { return channel.publish({}, u"q"_s, request(), "body", false); };
    const auto isRejected = [&] {
        const Error error = publish().error();
        return error.kind() == ErrorKind::InvalidArgument && error.text().startsWith(u"replyTo: "_s) &&
               channel.publishing().checkContent(request(), "body") == error;
    };
    QVERIFY(isRejected());
    s.subscribe(channel, u"other"_s, {.ackMode = AckMode::NoAck});
    QVERIFY(isRejected());
    s.expectNothingSent();

    const auto consumer = *channel.subscriptions().consume(DirectReplyTo, ForReplies, &s); // consume-ok may come later
    s.expectSent<Wire::BasicConsume>();
    for (int i = 0; i < 2; ++i) { // the second call takes the fast path
        QVERIFY(publish());
        s.expectPublished("body", "q");
    }
    s.broker(Wire::BasicConsumeOk{.consumerTag = "replies"});
    QVERIFY(publish());
    s.expectPublished("body", "q");
    channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicCancel>();
    QVERIFY(isRejected());
    // A reply-to of another connection names a queue of that connection.
    const QByteArray forwarded =
        Wire::encodeProperties({.flags = Wire::ReplyToFlag, .replyTo = "amq.rabbitmq.reply-to.g1h2"});
    QVERIFY(channel.publish({}, u"q"_s, forwarded, "body", false));
    s.expectPublished("body", "q");
}

void tst_KnownArguments::requestsAreCheckedAgainWhereTheyWaited()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    channel.confirmSelect();
    s.expectSent<Wire::ConfirmSelect>().broker(Wire::ConfirmSelectOk());
    channel.publishing().setConfirmWindow(1);
    s.takeEvents();
    const auto consumer = *channel.subscriptions().consume(DirectReplyTo, ForReplies, &s);
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicConsumeOk{.consumerTag = "replies"}).takeEvents();
    QVERIFY(channel.publish({}, u"q"_s, request(), "1", false));
    s.expectPublished("1", "q");
    QVERIFY(channel.publish({}, u"q"_s, request(), "2", false)); // the window is full
    channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicCancel>().takeEvents();
    s.broker(Wire::BasicAck{.deliveryTag = 1}).expectEvent<Engine::PublishConfirmed>();
    QCOMPARE(s.takeEvent<Engine::PublishFailed>().reason.kind(), ErrorKind::InvalidArgument);
    s.expectNothingSent();
}

void tst_KnownArguments::directRepliesHaveOneConsumerThatDoesNotAcknowledge()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const Error acknowledging = channel.subscriptions().consume(DirectReplyTo, {.consumerTag = u"a"_s}, &s).error();
    QCOMPARE(acknowledging.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(acknowledging.text().startsWith(u"ackMode: "_s), qPrintable(acknowledging.text()));
    QVERIFY(channel.subscriptions().consume(DirectReplyTo, ForReplies, &s));
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicConsumeOk{.consumerTag = "replies"}).takeEvents();
    const Error second =
        channel.subscriptions().consume(DirectReplyTo, {.consumerTag = u"b"_s, .ackMode = AckMode::NoAck}, &s).error();
    QCOMPARE(second.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(second.text().startsWith(u"queue: "_s), qPrintable(second.text()));
    s.expectNothingSent();
    // Each channel may have one consumer of replies.
    QVERIFY(s.openChannel().subscriptions().consume(DirectReplyTo, ForReplies, &s));
}

void tst_KnownArguments::wrongValuesOfHelpersAreRejected()
{
    QFETCH(QString, argument);
    QFETCH(FieldTable, arguments);
    Script s;
    s.open();
    const Error error = s.openChannel().topology().declareQueue(u"q"_s, {.arguments = arguments}, false).error();
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
    QVERIFY(channel.topology().bindQueue(u"q"_s, u"amq.headers"_s, {}, table));
    s.expectSent<Wire::QueueBind>();
}

QTEST_APPLESS_MAIN(tst_KnownArguments)
#include "tst_knownarguments.moc"
