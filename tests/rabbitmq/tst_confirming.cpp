// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

#include <set>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Confirming : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();

    void everyMessageIsConfirmedOnce();
    void replyReportsTheOutcomeOfItsMessage();
    void fullQueueNacks();
    void confirmModeFailsOnATransactionChannel();
    void whenConfirmedWaitsForAllBefore();
    void callsThatNeedConfirmModeFailWithoutIt();
    void missingExchangeLeavesNoMessageWithoutAnEnd();
    void modeAndNumbersGoOnAfterReopening();
    void closeWaitsForConfirms();
    void publishesBeforeOpenAreConfirmed();
    void confirmWindowLimitsUnconfirmedMessages();
    void headerAboveFrameMaxIsRejected();

    void returnedMessageIsReportedWithItsNumber();
    void returnedMessageLosesItsBcc();
    void aThousandReturnsFindTheirMessages_data();
    void aThousandReturnsFindTheirMessages();

private:
    struct Outcomes // the outcome of each message, by its number
    {
        explicit Outcomes(Channel *channel)
        {
            QObject::connect(channel, &Channel::publishConfirmed, channel, [this](quint64 first, quint64 last) {
                for (quint64 number = first; number <= last; ++number)
                    add(number, u"taken"_s);
            });
            QObject::connect(channel, &Channel::publishFailed, channel,
                             [this](quint64 first, quint64 last, const Error &error) {
                                 for (quint64 number = first; number <= last; ++number)
                                     add(number, brief(error));
                             });
        }
        void add(quint64 number, const QString &outcome)
        {
            if (!byNumber.contains(number))
                byNumber.insert(number, outcome);
            else
                twice.append(number);
        }
        QMap<quint64, QString> byNumber;
        QList<quint64> twice;
    };

    std::optional<BrokerClient> m_client;
    Channel *m_channel = nullptr;
};

void tst_Confirming::init()
{
    m_client.emplace();
    QVERIFY(m_client->isOpen());
    m_channel = m_client->channel;
}

void tst_Confirming::cleanup()
{
    m_client.reset();
}

// F4
void tst_Confirming::everyMessageIsConfirmedOnce()
{
    constexpr int Count = 5000;
    const Outcomes outcomes(m_channel);
    QSignalSpy modes(m_channel, &Channel::modeChanged);
    QSignalSpy counts(m_channel, &Channel::unconfirmedCountChanged);
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    VERIFY_OK(m_channel->confirmSelect());
    QCOMPARE(m_channel->mode(), Channel::Mode::Confirm);
    QCOMPARE(modes.size(), 1);
    for (int i = 1; i <= Count; ++i)
        QCOMPARE(m_channel->publish({}, queue.result()->name, Message(QByteArray::number(i))), quint64(i));
    QCOMPARE(m_channel->unconfirmedCount(), Count);
    VERIFY_OK(m_channel->whenConfirmed());
    QCOMPARE(outcomes.byNumber.size(), Count);
    QVERIFY(outcomes.twice.isEmpty());
    for (const QString &outcome : outcomes.byNumber)
        QCOMPARE(outcome, u"taken"_s);
    QCOMPARE(m_channel->unconfirmedCount(), 0);
    QVERIFY(waitFor([&] { return !counts.isEmpty() && counts.last().first().toInt() == 0; }));
    QCOMPARE(m_client->messageCount(queue.result()->name), Count);
}

// F4
void tst_Confirming::replyReportsTheOutcomeOfItsMessage()
{
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    m_channel->confirmSelect();
    const Reply<void> taken = m_channel->publishWithReply({}, queue.result()->name, Message("taken"));
    const Reply<void> returned = m_channel->publishWithReply({}, u"no such queue"_s, Message("lost"));
    const Reply<void> unnoticed =
        m_channel->publishWithReply({}, u"no such queue"_s, Message("lost"), {}); // not mandatory
    VERIFY_OK(taken);
    VERIFY_FAILS(returned, u"Returned 312 basic.return"_s);
    VERIFY_OK(unnoticed);
}

// F4
void tst_Confirming::fullQueueNacks()
{
    const QString queue = uniqueName(u"q"_s);
    m_channel->declareQueue(
        queue, {.exclusive = true, .arguments = {{u"x-max-length"_s, 1}, {u"x-overflow"_s, u"reject-publish"_s}}});
    m_channel->confirmSelect();
    VERIFY_OK(m_channel->publishWithReply({}, queue, Message("first")));
    VERIFY_FAILS(m_channel->publishWithReply({}, queue, Message("second")), u"Nacked basic.nack"_s);
    QVERIFY(m_channel->isOpen());
    QCOMPARE(m_client->messageCount(queue), 1);
}

// F4, D7
void tst_Confirming::confirmModeFailsOnATransactionChannel()
{
    VERIFY_OK(m_channel->txSelect());
    VERIFY_FAILS(m_channel->confirmSelect(), u"InvalidArgument confirm.select"_s);
    QCOMPARE(m_channel->mode(), Channel::Mode::Transaction);
    VERIFY_OK(m_channel->txCommit()); // the channel is not affected
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->confirmSelect());
    VERIFY_FAILS(other->txSelect(), u"InvalidArgument tx.select"_s);
    VERIFY_OK(other->declareTemporaryQueue());
}

// F4
void tst_Confirming::whenConfirmedWaitsForAllBefore()
{
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    VERIFY_OK(m_channel->confirmSelect());
    const Reply<void> nothing = m_channel->whenConfirmed();
    QVERIFY(nothing.isFinished());
    for (int i = 0; i < 100; ++i)
        m_channel->publish({}, queue.result()->name, Message("routed"));
    const Reply<void> good = m_channel->whenConfirmed();
    m_channel->publish({}, u"no such queue"_s, Message("lost"), Channel::PublishFlag::Mandatory);
    m_channel->publish({}, queue.result()->name, Message("routed"));
    const Reply<void> bad = m_channel->whenConfirmed();
    QVERIFY(!good.isFinished());
    VERIFY_OK(good);
    VERIFY_FAILS(bad, u"Returned 312 basic.return"_s);
    QCOMPARE(m_channel->unconfirmedCount(), 0);
}

// F4
void tst_Confirming::callsThatNeedConfirmModeFailWithoutIt()
{
    VERIFY_FAILS(m_channel->publishWithReply({}, u"q"_s, Message("body")), u"InvalidArgument"_s);
    VERIFY_FAILS(m_channel->whenConfirmed(), u"InvalidArgument"_s);
    QCOMPARE(m_channel->publish({}, u"q"_s, Message("body")), quint64(1)); // the rejected message has no number
    QCOMPARE(m_channel->unconfirmedCount(), 0);
    QVERIFY(m_channel->isOpen());
}

// F4, D3
void tst_Confirming::missingExchangeLeavesNoMessageWithoutAnEnd()
{
    const Outcomes outcomes(m_channel);
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    VERIFY_OK(m_channel->confirmSelect());
    QSignalSpy closed(m_channel, &Channel::closed);
    QList<Reply<void>> replies;
    for (int i = 0; i < 20; ++i)
        replies += m_channel->publishWithReply(i == 10 ? u"no such exchange"_s : QString(), queue.result()->name,
                                               Message("body"));
    const Reply<void> all = m_channel->whenConfirmed();
    QVERIFY(waitFor([&] { return !closed.isEmpty(); }));
    QCOMPARE(brief(closed.first().first().value<Error>()), u"ChannelClosed 404 basic.publish"_s);
    QCOMPARE(outcomes.byNumber.size(), 20);
    QVERIFY(outcomes.twice.isEmpty());
    for (int i = 0; i < 20; ++i) {
        QVERIFY(replies[i].isFinished());
        const QString outcome = outcomes.byNumber.value(quint64(i + 1));
        if (i >= 10) // the broker never processed the later messages
            QCOMPARE(outcome, u"Unconfirmed 404"_s);
        else
            QVERIFY2(outcome == u"taken" || outcome == u"Unconfirmed 404", qPrintable(outcome));
        QCOMPARE(bool(replies[i].result()), outcome == u"taken");
    }
    VERIFY_FAILS(all, u"Unconfirmed 404"_s);
    QCOMPARE(m_channel->unconfirmedCount(), 0);
}

// F4
void tst_Confirming::modeAndNumbersGoOnAfterReopening()
{
    m_channel->confirmSelect();
    const QString queue = uniqueName(u"q"_s);
    m_channel->declareQueue(queue, {.exclusive = true});
    VERIFY_OK(m_channel->publishWithReply({}, queue, Message("1")));
    VERIFY_FAILS(m_channel->inspectQueue(u"no such queue"_s), u"ChannelClosed 404 queue.declare"_s);
    VERIFY_OK(m_channel->reopen());
    QCOMPARE(m_channel->mode(), Channel::Mode::Confirm);
    const Outcomes outcomes(m_channel);
    QCOMPARE(m_channel->publish({}, queue, Message("2")), quint64(2));
    VERIFY_OK(m_channel->whenConfirmed());
    QCOMPARE(outcomes.byNumber, (QMap<quint64, QString>{{2, u"taken"_s}}));
}

// F4, F9
void tst_Confirming::closeWaitsForConfirms()
{
    const QString queue = uniqueName(u"q"_s);
    m_channel->declareQueue(queue, sharedQueue());
    const Outcomes outcomes(m_channel);
    VERIFY_OK(m_channel->confirmSelect());
    for (int i = 0; i < 500; ++i)
        m_channel->publish({}, queue, Message("body"));
    VERIFY_OK(m_channel->close());
    QCOMPARE(outcomes.byNumber.size(), 500);
    for (const QString &outcome : outcomes.byNumber)
        QCOMPARE(outcome, u"taken"_s);
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 500; }));
}

// F4, D4
void tst_Confirming::publishesBeforeOpenAreConfirmed()
{
    Connection connection(brokerParameters());
    Channel *channel = connection.createChannel();
    const Outcomes outcomes(channel);
    const QString queue = uniqueName(u"q"_s);
    channel->declareQueue(queue, {.exclusive = true});
    channel->publish({}, queue, Message("not confirmed"));
    channel->confirmSelect();
    const Reply<void> taken = channel->publishWithReply({}, queue, Message("confirmed"));
    connection.open();
    VERIFY_OK(taken);
    QCOMPARE(outcomes.byNumber, (QMap<quint64, QString>{{2, u"taken"_s}}));
}

// F4, F7
void tst_Confirming::confirmWindowLimitsUnconfirmedMessages()
{
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    m_channel->setConfirmWindow(10);
    VERIFY_OK(m_channel->confirmSelect());
    QSignalSpy backpressure(m_channel, &Channel::backpressureChanged);
    for (int i = 0; i < 1000; ++i)
        m_channel->publish({}, queue.result()->name, Message(QByteArray::number(i)));
    QVERIFY(m_channel->backpressure().testFlag(BackpressureReason::ConfirmWindowFull));
    QVERIFY(!m_channel->isWritable());
    const Reply<QueueInfo> declared = m_channel->inspectQueue(queue.result()->name); // keeps its position in the order
    VERIFY_OK(m_channel->whenConfirmed());
    VERIFY_OK(declared);
    QVERIFY(waitFor([&] { return m_channel->isWritable(); }));
    QCOMPARE(backpressure.size(), 2);
    QCOMPARE(texts(m_client->drain(queue.result()->name)), numbers(0, 999));
    m_channel->setConfirmWindow(-1);
    QCOMPARE(m_channel->lastCallError().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(m_channel->confirmWindow(), 10);
}

// F4
void tst_Confirming::headerAboveFrameMaxIsRejected()
{
    VERIFY_OK(m_channel->confirmSelect());
    Message large("body");
    large.setHeaders({{u"x"_s, QString(qsizetype(m_client->connection.maximumFrameSize()), u'x')}});
    QCOMPARE(m_channel->publish({}, u"q"_s, large), quint64(0));
    QCOMPARE(m_channel->lastCallError().kind(), ErrorKind::InvalidArgument);
    VERIFY_FAILS(m_channel->publishWithReply({}, u"q"_s, large), u"InvalidArgument"_s);
    QCOMPARE(m_channel->unconfirmedCount(), 0);
    VERIFY_OK(m_channel->publishWithReply({}, u"q"_s, Message("small"), {}));
}

// F5
void tst_Confirming::returnedMessageIsReportedWithItsNumber()
{
    VERIFY_OK(m_channel->confirmSelect());
    m_channel->publish({}, u"no such queue"_s, Message("not mandatory"));
    Message message("lost");
    message.setMessageId(u"id"_s);
    message.setHeaders({{u"n"_s, 1}});
    const quint64 number = m_channel->publish({}, u"no such queue"_s, message, Channel::PublishFlag::Mandatory);
    int returned = 0;
    connect(m_channel, &Channel::messageReturned, this,
            [&](quint64 sequence, const Message &back, const Error &reason) {
                ++returned;
                QCOMPARE(sequence, number);
                QCOMPARE(back.body(), QByteArray("lost"));
                QCOMPARE(back.routingKey(), u"no such queue"_s);
                QCOMPARE(back.messageId(), u"id"_s);
                QCOMPARE(back.headers(), message.headers());
                QCOMPARE(brief(reason), u"Returned 312 basic.return"_s);
            });
    VERIFY_FAILS(m_channel->whenConfirmed(), u"Returned 312 basic.return"_s);
    QCOMPARE(returned, 1);
}

// F5
void tst_Confirming::returnedMessageLosesItsBcc()
{
    VERIFY_OK(m_channel->confirmSelect());
    Message message("lost");
    message.setHeaders({{u"BCC"_s, QVariantList{u"nobody"_s}}, {u"n"_s, 1}});
    FieldTable headers;
    quint64 sequence = 0;
    connect(m_channel, &Channel::messageReturned, this, [&](quint64 number, const Message &back) {
        sequence = number;
        headers = back.headers();
    });
    VERIFY_FAILS(m_channel->publishWithReply({}, u"no such queue"_s, message), u"Returned 312 basic.return"_s);
    QCOMPARE(sequence, quint64(1));
    QCOMPARE(headers, (FieldTable{{u"n"_s, 1}}));
}

void tst_Confirming::aThousandReturnsFindTheirMessages_data()
{
    QTest::addColumn<bool>("areDifferent");
    QTest::newRow("identical") << false;
    QTest::newRow("different") << true;
}

// F5
void tst_Confirming::aThousandReturnsFindTheirMessages()
{
    QFETCH(const bool, areDifferent);
    constexpr int Count = 1000;
    const Outcomes outcomes(m_channel);
    const Reply<QueueInfo> queue = m_channel->declareTemporaryQueue();
    VERIFY_OK(queue);
    VERIFY_OK(m_channel->confirmSelect());
    QMap<quint64, QByteArray> returned;
    connect(m_channel, &Channel::messageReturned, this,
            [&](quint64 sequence, const Message &message) { returned.insert(sequence, message.body()); });
    QMap<quint64, QByteArray> lost;
    for (int i = 0; i < Count; ++i) {
        const QByteArray body = areDifferent ? QByteArray::number(i) : QByteArray("body");
        m_channel->publish({}, queue.result()->name, Message(body), Channel::PublishFlag::Mandatory);
        lost.insert(m_channel->publish({}, u"no such queue"_s, Message(body), Channel::PublishFlag::Mandatory), body);
        m_channel->publish({}, u"no such queue"_s, Message(body));
    }
    VERIFY_FAILS(m_channel->whenConfirmed(), u"Returned 312 basic.return"_s);
    QCOMPARE(returned, lost);
    QCOMPARE(outcomes.byNumber.size(), 3 * Count);
    QVERIFY(outcomes.twice.isEmpty());
    for (quint64 number = 1; number <= 3 * Count; ++number)
        QCOMPARE(outcomes.byNumber.value(number), lost.contains(number) ? u"Returned 312 basic.return"_s : u"taken"_s);
}

QTEST_GUILESS_MAIN(tst_Confirming)

#include "tst_confirming.moc"
