// SPDX-License-Identifier: MIT
#include "models/modelmessages.h"
#include "models/observedmodel.h"
#include "models/workerconsumer.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// "0", "1" …
QList<Message> numbered(int count, int first = 0)
{
    QList<Message> messages;
    for (int i = first; i < first + count; ++i)
        messages += Message(QByteArray::number(i));
    return messages;
}

// The bodies from row 0 on, as the views get them: "2 1 0".
QByteArray bodies(const QAbstractItemModel &model)
{
    return cells(model, 0, MessageModel::TextRole);
}

// Returns how many copies of the body there are.
int copiesOf(QByteArray &body)
{
    return body.data_ptr().d_ptr()->ref_.loadRelaxed();
}

class Observed : public ObservedModel<MessageModel>
{
public:
    explicit Observed(int maximumCount) { model.setMaximumCount(maximumCount); }

    // Waits until the model has emitted its counts, and returns the signals emitted until then.
    QStringList next()
    {
        changes.clear();
        QSignalSpy reported(&model, &MessageModel::countChanged);
        if (!waitUntil([&] { return !reported.isEmpty(); }))
            return {u"nothing"_s};
        return changes;
    }

    QStringList show(const QList<Message> &messages)
    {
        model.append(messages);
        return next();
    }
};

} // namespace

// Calls a function whenever a model emits the signal of that name.
class Slot : public QObject
{
    Q_OBJECT
public:
    Slot(MessageModel *model, const QByteArray &signal, std::function<void()> function)
        : m_function(std::move(function))
    {
        const QMetaObject *meta = model->metaObject();
        const QMetaMethod call = metaObject()->method(metaObject()->indexOfSlot("call()"));
        for (int i = 0; i < meta->methodCount(); ++i) {
            if (meta->method(i).methodType() == QMetaMethod::Signal && meta->method(i).name() == signal)
                connect(model, meta->method(i), this, call);
        }
    }

public Q_SLOTS:
    void call() { m_function(); }

private:
    std::function<void()> m_function;
};

class tst_MessageModel : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaults();
    void newestIsOnTop();
    void fullModelOverwritesInsteadOfInserting();
    void anyNumberOfMessagesIsOneChange();
    void changesAreAnIntervalApart();
    void idleModelHasNoTimer();
    void overwrittenMessagesAreReleased();
    void zeroRowsCountOnly();
    void pauseKeepsTheRows();
    void clearForgetsEverything();
    void maximumCountChangesLive();
    void nonsenseIsRejected();
    void filterSelectsRows();
    void rowsShowTheirOwnMessage();
    void slotMayCallAnything_data();
    void slotMayCallAnything();
    void slotMayDeleteTheModel_data();
    void slotMayDeleteTheModel();
    void deliveriesBecomeRows();
    void severalConsumersShareTheModel();
    void consumerMayBeExchanged();
    void consumerMayBeDeleted_data();
    void consumerMayBeDeleted();
    void consumerMayLiveInAnotherThread();
    void modelSettlesNothing();
};

void tst_MessageModel::defaults()
{
    const MessageModel model;
    QCOMPARE(model.maximumCount(), 1000);
    QCOMPARE(model.updateInterval(), 50);
    QVERIFY(!model.isPaused());
    QCOMPARE(model.columns(), QStringList({u"routingKey"_s, u"text"_s}));
    QCOMPARE(model.filterRoutingKey(), QString());
    QCOMPARE(model.count(), 0);
    QCOMPARE(model.totalCount(), 0.0);
    QCOMPARE(model.droppedCount(), 0.0);
}

void tst_MessageModel::newestIsOnTop()
{
    Observed observed(3);
    MessageModel &model = observed.model;
    QCOMPARE(observed.show(numbered(2)), QStringList({u"insert 0-1"_s}));
    QCOMPARE(bodies(model), "1 0");
    QCOMPARE(model.message(0).text(), u"1"_s);
    QCOMPARE(model.message(1).text(), u"0"_s);
    QVERIFY(model.message(2) == Message());
    QVERIFY(model.message(-1) == Message());
    QCOMPARE(model.count(), 2);
    QCOMPARE(model.rowCount(), 2);
    QCOMPARE(model.rowCount(model.index(0, 0)), 0);
    QCOMPARE(model.columnCount(model.index(0, 0)), 0);
}

void tst_MessageModel::fullModelOverwritesInsteadOfInserting()
{
    Observed observed(3);
    MessageModel &model = observed.model;
    observed.show(numbered(2));
    QCOMPARE(observed.show(numbered(2, 2)), QStringList({u"insert 0-0"_s, u"change 0-2"_s}));
    QCOMPARE(bodies(model), "3 2 1");
    QCOMPARE(observed.show(numbered(1, 4)), QStringList({u"change 0-2"_s}));
    QCOMPARE(bodies(model), "4 3 2");
    QCOMPARE(observed.show(numbered(7, 5)), QStringList({u"change 0-2"_s}));
    QCOMPARE(bodies(model), "11 10 9");
    QCOMPARE(model.count(), 3);
    QCOMPARE(model.totalCount(), 12.0);
    QCOMPARE(model.droppedCount(), 4.0);
}

void tst_MessageModel::anyNumberOfMessagesIsOneChange()
{
    Observed observed(1000);
    MessageModel &model = observed.model;
    for (int i = 0; i < 1000; ++i)
        model.append(numbered(100, 100 * i));
    QCOMPARE(model.count(), 0);
    QCOMPARE(observed.next(), QStringList({u"insert 0-999"_s}));
    QCOMPARE(model.message(0).text(), u"99999"_s);
    QCOMPARE(model.message(999).text(), u"99000"_s);
    for (int i = 0; i < 1000; ++i)
        model.append(numbered(100));
    QCOMPARE(observed.next(), QStringList({u"change 0-999"_s}));
    QCOMPARE(model.totalCount(), 200'000.0);
    QCOMPARE(model.droppedCount(), 198'000.0);
}

void tst_MessageModel::changesAreAnIntervalApart()
{
    Observed observed(10);
    MessageModel &model = observed.model;
    model.setUpdateInterval(3'600'000);
    model.append(numbered(1));
    settleEvents();
    QCOMPARE(model.count(), 0);
    QCOMPARE(model.totalCount(), 1.0);
    model.append(numbered(1, 1));
    QSignalSpy changed(&model, &MessageModel::updateIntervalChanged);
    model.setUpdateInterval(0); // pending changes follow the new interval
    QCOMPARE(changed.size(), 1);
    QCOMPARE(observed.next(), QStringList({u"insert 0-1"_s}));
}

void tst_MessageModel::idleModelHasNoTimer()
{
    Observed observed(10);
    const auto *timer = observed.model.findChild<QTimer *>();
    QVERIFY(!timer->isActive());
    observed.model.append({});
    QVERIFY(!timer->isActive());
    observed.model.append(numbered(1));
    QVERIFY(timer->isActive());
    observed.next();
    QVERIFY(!timer->isActive());
    observed.model.setPaused(true);
    observed.show(numbered(1));
    QVERIFY(!timer->isActive());
}

void tst_MessageModel::overwrittenMessagesAreReleased()
{
    QByteArray body(100, 'x');
    Observed observed(50);
    for (int i = 0; i < 10'000; ++i) {
        QList<Message> messages;
        for (int j = 0; j < 100; ++j)
            messages += Message(body);
        observed.model.append(std::exchange(messages, {}));
        QVERIFY(copiesOf(body) <= 1 + 50 + 50); // the rows, and the messages that will overwrite them
        if (i % 1000 == 0) {
            QVERIFY(observed.next() != QStringList({u"nothing"_s}));
            for (int row = 0; row < 50; ++row)
                observed.model.index(row, 0).data();
        }
    }
    observed.next();
    QCOMPARE(copiesOf(body), 1 + 50);
    QCOMPARE(observed.model.totalCount(), 1'000'000.0);
    observed.model.clear();
    QCOMPARE(copiesOf(body), 1);
}

void tst_MessageModel::zeroRowsCountOnly()
{
    Observed observed(0);
    QCOMPARE(observed.show(numbered(5)), QStringList());
    QCOMPARE(observed.model.count(), 0);
    QCOMPARE(observed.model.totalCount(), 5.0);
    QCOMPARE(observed.model.droppedCount(), 5.0);
}

void tst_MessageModel::pauseKeepsTheRows()
{
    Observed observed(3);
    MessageModel &model = observed.model;
    QSignalSpy paused(&model, &MessageModel::pausedChanged);
    observed.show(numbered(2));
    model.setPaused(true);
    model.setPaused(true);
    QCOMPARE(paused.size(), 1);
    QCOMPARE(observed.show(numbered(10, 2)), QStringList());
    QCOMPARE(bodies(model), "1 0");
    QCOMPARE(model.totalCount(), 12.0);
    QCOMPARE(model.droppedCount(), 7.0);

    model.setPaused(false);
    QCOMPARE(bodies(model), "1 0");
    QCOMPARE(observed.next(), QStringList({u"insert 0-0"_s, u"change 0-2"_s}));
    QCOMPARE(bodies(model), "11 10 9");
    QCOMPARE(model.totalCount(), 12.0);

    model.setPaused(true);
    QCOMPARE(observed.show(numbered(2, 12)), QStringList());
    QCOMPARE(bodies(model), "11 10 9");
    model.setPaused(false); // no count changes, so none is emitted
    QVERIFY(waitUntil([&] { return bodies(model) == "13 12 11"; }));
    QCOMPARE(observed.changes, QStringList({u"change 0-2"_s}));
}

void tst_MessageModel::clearForgetsEverything()
{
    Observed observed(3);
    MessageModel &model = observed.model;
    observed.show(numbered(5));
    model.append(numbered(2));
    QSignalSpy counted(&model, &MessageModel::countChanged);
    observed.changes.clear();
    model.clear();
    QCOMPARE(observed.changes, QStringList({u"remove 0-2"_s}));
    QCOMPARE(counted.size(), 1);
    QCOMPARE(model.count(), 0);
    QCOMPARE(model.totalCount(), 0.0);
    QCOMPARE(model.droppedCount(), 0.0);
    QCOMPARE(observed.show(numbered(1, 7)), QStringList({u"insert 0-0"_s}));
    QCOMPARE(bodies(model), "7");
}

void tst_MessageModel::maximumCountChangesLive()
{
    Observed observed(5);
    MessageModel &model = observed.model;
    QSignalSpy changed(&model, &MessageModel::maximumCountChanged);
    observed.show(numbered(5));
    model.append(numbered(4, 5));
    observed.changes.clear();
    model.setMaximumCount(2);
    QCOMPARE(observed.changes, QStringList({u"remove 2-4"_s}));
    QCOMPARE(bodies(model), "4 3");
    QCOMPARE(model.droppedCount(), 2.0);
    QCOMPARE(observed.next(), QStringList({u"change 0-1"_s}));
    QCOMPARE(bodies(model), "8 7");

    model.setMaximumCount(4);
    model.setMaximumCount(4);
    QCOMPARE(changed.size(), 2);
    QCOMPARE(bodies(model), "8 7");
    QCOMPARE(observed.show(numbered(3, 9)), QStringList({u"insert 0-1"_s, u"change 0-3"_s}));
    QCOMPARE(bodies(model), "11 10 9 8");
}

void tst_MessageModel::nonsenseIsRejected()
{
    MessageModel model;
    QSignalSpy count(&model, &MessageModel::maximumCountChanged);
    QSignalSpy interval(&model, &MessageModel::updateIntervalChanged);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^maximumCount: -1 "_s));
    model.setMaximumCount(-1);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^updateInterval: -5 ms "_s));
    model.setUpdateInterval(-5);
    QCOMPARE(model.maximumCount(), 1000);
    QCOMPARE(model.updateInterval(), 50);
    QVERIFY(count.isEmpty() && interval.isEmpty());
}

void tst_MessageModel::filterSelectsRows()
{
    Observed observed(10);
    MessageModel &model = observed.model;
    QSignalSpy changed(&model, &MessageModel::filterRoutingKeyChanged);
    observed.show({keyed("a.x"), keyed("b.x"), keyed("a.y")});
    model.append({keyed("b.y"), keyed("a.z")});
    observed.changes.clear();
    model.setFilterRoutingKey(u"a.*"_s);
    model.setFilterRoutingKey(u"a.*"_s);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(observed.changes, QStringList({u"reset"_s}));
    QCOMPARE(bodies(model), "a.y a.x");
    QCOMPARE(observed.next(), QStringList({u"insert 0-0"_s}));
    QCOMPARE(bodies(model), "a.z a.y a.x");

    QCOMPARE(observed.show({keyed("b.x")}), QStringList());
    QCOMPARE(observed.show({keyed("b.x"), keyed("a.x.y"), keyed("a.1")}), QStringList({u"insert 0-0"_s}));
    QCOMPARE(bodies(model), "a.1 a.z a.y a.x");
    QCOMPARE(model.totalCount(), 9.0);
    QCOMPARE(model.droppedCount(), 0.0);

    model.setFilterRoutingKey({});
    QCOMPARE(bodies(model), "a.1 a.z a.y a.x");
    observed.show({keyed("b.x")});
    QCOMPARE(bodies(model), "b.x a.1 a.z a.y a.x");
}

// Values that a view has requested stay correct when their row has moved, was overwritten, or has other columns.
void tst_MessageModel::rowsShowTheirOwnMessage()
{
    Observed observed(4);
    MessageModel &model = observed.model;
    const auto jsonNumbers = [](int first, int last) {
        QList<Message> messages;
        for (int i = first; i <= last; ++i)
            messages += Message("{\"n\": " + QByteArray::number(i) + '}');
        return messages;
    };
    model.setColumns({u"json.n"_s, u"size"_s});
    observed.show(jsonNumbers(8, 9));
    QCOMPARE(cells(model, 0), "9 8");
    observed.show(jsonNumbers(10, 10));
    QCOMPARE(cells(model, 0), "10 9 8");
    QCOMPARE(cells(model, 1), "9 8 8");
    observed.show(jsonNumbers(11, 12));
    QCOMPARE(cells(model, 0), "12 11 10 9");
    observed.show(jsonNumbers(100, 102));
    QCOMPARE(cells(model, 0), "102 101 100 12");
    model.setColumns({u"text"_s, u"json.n"_s});
    QCOMPARE(cells(model, 0), "{\"n\": 102} {\"n\": 101} {\"n\": 100} {\"n\": 12}");
    QCOMPARE(cells(model, 1), "102 101 100 12");
    model.setMaximumCount(2);
    observed.show(jsonNumbers(3, 3));
    QCOMPARE(cells(model, 1), "3 102");
    model.clear();
    observed.show(jsonNumbers(4, 4));
    QCOMPARE(cells(model, 1), "4");
    model.setFilterRoutingKey(u"none"_s);
    model.setFilterRoutingKey({});
    observed.show(jsonNumbers(5, 5));
    QCOMPARE(cells(model, 1), "5");
}

void tst_MessageModel::slotMayCallAnything_data()
{
    QTest::addColumn<QByteArray>("signal");
    QTest::addColumn<QByteArray>("call");
    for (const char *signal : {"rowsInserted", "dataChanged", "countChanged"}) {
        for (const char *call :
             {"append", "clear", "grow", "shrink", "shrink to 0", "pause", "filter", "columns", "consumer"})
            QTest::addRow("%s in %s", call, signal) << QByteArray(signal) << QByteArray(call);
    }
}

void tst_MessageModel::slotMayCallAnything()
{
    QFETCH(const QByteArray, signal);
    QFETCH(const QByteArray, call);
    Observed observed(3);
    MessageModel &model = observed.model;
    observed.show(numbered(2));
    bool called = false;
    const Slot slot(&model, signal, [&] {
        if (std::exchange(called, true))
            return;
        if (call == "append")
            model.append(numbered(5, 100));
        else if (call == "clear")
            model.clear();
        else if (call == "grow")
            model.setMaximumCount(5);
        else if (call == "shrink")
            model.setMaximumCount(1);
        else if (call == "shrink to 0")
            model.setMaximumCount(0);
        else if (call == "pause")
            model.setPaused(true);
        else if (call == "filter")
            model.setFilterRoutingKey(u"x"_s);
        else if (call == "columns")
            model.setColumns({});
        else
            model.setConsumer(nullptr);
    });
    observed.show(numbered(10, 10)); // fills the model and overwrites rows
    QVERIFY(called);
    model.setPaused(false);
    model.setFilterRoutingKey({});
    model.setColumns({u"text"_s});
    const int room = model.maximumCount();
    const auto *timer = model.findChild<QTimer *>();
    QVERIFY(waitUntil([&] { return !timer->isActive(); }));
    if (call != "clear" && call != "filter" && room > 0) // no message is missing
        QCOMPARE(model.message(0).text(), call == "append" ? u"104"_s : u"19"_s);
    observed.show(numbered(5, 200));
    QCOMPARE(bodies(model), "204 203 202 201 200"_ba.first(qMax(0, 4 * room - 1)));
}

void tst_MessageModel::slotMayDeleteTheModel_data()
{
    QTest::addColumn<QByteArray>("signal");
    for (const char *signal :
         {"rowsInserted", "dataChanged", "countChanged", "rowsRemoved", "modelReset", "columnsChanged",
          "maximumCountChanged", "filterRoutingKeyChanged", "pausedChanged", "updateIntervalChanged"})
        QTest::newRow(signal) << QByteArray(signal);
}

void tst_MessageModel::slotMayDeleteTheModel()
{
    QFETCH(const QByteArray, signal);
    const std::pair<QByteArray, std::function<void(MessageModel *)>> calls[] = {
        {"append", [](MessageModel *model) { model->append(numbered(10)); }},
        {"clear", [](MessageModel *model) { model->clear(); }},
        {"setMaximumCount", [](MessageModel *model) { model->setMaximumCount(1); }},
        {"setFilterRoutingKey", [](MessageModel *model) { model->setFilterRoutingKey(u"x"_s); }},
        {"setColumns", [](MessageModel *model) { model->setColumns({u"size"_s}); }},
        {"setPaused", [](MessageModel *model) { model->setPaused(true); }},
        {"setUpdateInterval", [](MessageModel *model) { model->setUpdateInterval(7); }},
    };
    int deleted = 0;
    for (const auto &[name, call] : calls) {
        QPointer<MessageModel> model = new MessageModel;
        model->setUpdateInterval(0);
        model->setMaximumCount(3);
        model->append(numbered(2));
        QVERIFY(waitUntil([&] { return model->count() == 2; }));
        const Slot slot(model, signal, [model, &deleted] {
            ++deleted;
            delete model.data();
        });
        call(model);
        settleEvents();
        delete model.data();
    }
    QVERIFY(deleted > 0);
}

void tst_MessageModel::deliveriesBecomeRows()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Observed observed(3);
    observed.model.setConsumer(client.consume({.ackMode = AckMode::NoAck}));
    peer.sendRaw(deliveries("c1", 1, {"a", "b", "c", "d"}));
    QVERIFY(waitUntil([&] { return observed.model.totalCount() == 4; }));
    QVERIFY(waitUntil([&] { return bodies(observed.model) == "d c b"; }));
    QCOMPARE(observed.model.message(0).deliveryTag(), 4u);
}

void tst_MessageModel::severalConsumersShareTheModel()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Observed observed(10);
    MessageModel &model = observed.model;
    Consumer *first = client.consume({.ackMode = AckMode::NoAck});
    Consumer *second = client.consume({.ackMode = AckMode::NoAck});
    model.addConsumer(first);
    model.addConsumer(second);
    model.addConsumer(second);
    model.addConsumer(nullptr);
    QCOMPARE(model.consumers(), QList({first, second}));
    peer.sendRaw(deliveries("c1", 1, {"1a"}) + deliveries("c2", 2, {"2a"}));
    QVERIFY(waitUntil([&] { return model.count() == 2; }));

    model.removeConsumer(first);
    QCOMPARE(model.consumers(), QList({second}));
    QSignalSpy firstBatches(first, &Consumer::batchDelivered);
    peer.sendRaw(deliveries("c1", 3, {"1b"}) + deliveries("c2", 4, {"2b"}));
    QVERIFY(waitUntil([&] { return model.count() == 3 && !firstBatches.isEmpty(); }));
    QCOMPARE(model.message(0).text(), u"2b"_s);
    delete second;
    QVERIFY(model.consumers().isEmpty());
}

void tst_MessageModel::consumerMayBeExchanged()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Observed observed(10);
    MessageModel &model = observed.model;
    Consumer *first = client.consume({.ackMode = AckMode::NoAck});
    Consumer *second = client.consume({.ackMode = AckMode::NoAck});
    QSignalSpy firstBatches(first, &Consumer::batchDelivered);
    QSignalSpy secondBatches(second, &Consumer::batchDelivered);
    quint64 tag = 1;
    const auto deliver = [&](const QByteArray &toFirst, const QByteArray &toSecond) {
        firstBatches.clear();
        secondBatches.clear();
        peer.sendRaw(deliveries("c1", tag, {toFirst}) + deliveries("c2", tag + 1, {toSecond}));
        tag += 2;
        return waitUntil([&] { return !firstBatches.isEmpty() && !secondBatches.isEmpty(); });
    };
    model.setConsumer(first);
    QVERIFY(deliver("1a", "2a"));
    QCOMPARE(model.totalCount(), 1.0);
    model.setConsumer(second);
    QVERIFY(deliver("1b", "2b"));
    QCOMPARE(model.totalCount(), 2.0);
    model.setConsumer(second); // setting it again has no effect
    QVERIFY(deliver("1c", "2c"));
    QCOMPARE(model.totalCount(), 3.0);
    model.setConsumer(nullptr);
    QVERIFY(deliver("1d", "2d"));
    QVERIFY(waitUntil([&] { return model.count() == 3; }));
    QCOMPARE(bodies(model), "2c 2b 1a");
    QCOMPARE(model.totalCount(), 3.0);
}

void tst_MessageModel::consumerMayBeDeleted_data()
{
    QTest::addColumn<QByteArray>("signal");
    QTest::addColumn<bool>("withConnection");
    for (const char *signal : {"", "rowsInserted", "dataChanged", "countChanged"}) {
        QTest::addRow("consumer %s", signal) << QByteArray(signal) << false;
        QTest::addRow("connection %s", signal) << QByteArray(signal) << true;
    }
}

void tst_MessageModel::consumerMayBeDeleted()
{
    QFETCH(const QByteArray, signal);
    QFETCH(const bool, withConnection);
    ScriptedPeer peer;
    auto *client = new OpenClient(peer);
    Observed observed(3);
    MessageModel &model = observed.model;
    Consumer *consumer = client->consume({.ackMode = AckMode::NoAck});
    model.setConsumer(consumer);
    const auto remove = [&] {
        if (withConnection)
            delete std::exchange(client, nullptr);
        else
            delete std::exchange(consumer, nullptr);
    };
    bool removed = false;
    const Slot slot(&model, signal, [&] {
        if (!std::exchange(removed, true))
            remove();
    });
    peer.sendRaw(deliveries("c1", 1, {"a", "b"}));
    QVERIFY(waitUntil([&] { return model.count() == 2; }));
    if (!removed && signal != "dataChanged")
        remove();
    model.append(numbered(4));
    QVERIFY(waitUntil([&] { return bodies(model) == "3 2 1"; }));
    QVERIFY(signal.isEmpty() || removed);
    model.setConsumer(nullptr);
    delete client;
}

void tst_MessageModel::consumerMayLiveInAnotherThread()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    Observed observed(3);
    MessageModel &model = observed.model;
    WorkerConsumer worker(peer);
    model.setConsumer(worker.consumer());
    peer.sendRaw(deliveries("c1", 1, {"a", "b", "c", "d"}));
    QVERIFY(waitUntil([&] { return bodies(model) == "d c b"; }));
    worker.call([&] { Q_EMIT worker.consumer()->batchDelivered({Message("late"_ba)}); });
    model.setConsumer(nullptr); // queued messages are dropped
    worker.removeClient();
    settleEvents();
    QCOMPARE(model.totalCount(), 4.0);
}

void tst_MessageModel::modelSettlesNothing()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    {
        Observed observed(1);
        Consumer *consumer = client.consume();
        observed.model.setConsumer(consumer);
        peer.sendRaw(deliveries("c1", 1, {"a", "b", "c"}));
        QVERIFY(waitUntil([&] { return bodies(observed.model) == "c"; }));
        QCOMPARE(consumer->unackedCount(), 3);
        client.channel->ackUpTo(observed.model.message(0));
        QCOMPARE(consumer->unackedCount(), 0);
    }
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(peer.count("basic.nack"), 0);
}

QTEST_GUILESS_MAIN(tst_MessageModel)
#include "tst_messagemodel.moc"
