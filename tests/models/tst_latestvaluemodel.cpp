// SPDX-License-Identifier: MIT
#include "models/modelmessages.h"
#include "models/observedmodel.h"
#include "models/workerconsumer.h"

#include <AmqpQt/latestvaluemodel.h>
#include <AmqpQt/messagemodel.h>

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Records changes of the count too.
class Observed : public ObservedModel<LatestValueModel>
{
public:
    Observed()
    {
        QObject::connect(&model, &LatestValueModel::countChanged, &model,
                         [this] { changes += u"count %1"_s.arg(model.count()); });
    }

    // Returns the signals of the next update.
    QStringList show(const QList<Message> &messages)
    {
        changes.clear();
        model.append(messages);
        return finish();
    }

    QStringList finish()
    {
        const auto *timer = model.findChild<QTimer *>();
        if (!waitUntil([timer] { return !timer->isActive(); }))
            return {u"no end"_s};
        return changes;
    }
};

// The column "text" of the default columns.
QByteArray texts(const LatestValueModel &model)
{
    return cells(model, 1);
}

} // namespace

class tst_LatestValueModel : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaults();
    void eachKeyHasARow();
    void anyNumberOfMessagesIsOneChange();
    void changesAreAnIntervalApart();
    void idleModelHasNoTimer();
    void keyIsTheValueOfAColumn_data();
    void keyIsTheValueOfAColumn();
    void longKeysAreDistinguished();
    void otherKeyColumnClearsTheModel();
    void cellsFollowTheirMessage();
    void rolesHaveTheMessage();
    void unknownColumnStaysEmpty();
    void furtherKeysAreLeftOut();
    void smallerMaximumClearsTheModel();
    void clearRemovesPendingMessagesToo();
    void invalidValuesAreRefused();
    void slotMayCallAnything_data();
    void slotMayCallAnything();
    void slotMayDeleteTheModel_data();
    void slotMayDeleteTheModel();
    void severalConsumersShareTheModel();
    void consumerReplacesAllOthers();
    void deletedConsumerLeavesTheList();
    void consumerMayLiveInAnotherThread();
    void modelSettlesNothing();
};

void tst_LatestValueModel::defaults()
{
    const LatestValueModel model;
    QCOMPARE(model.keyColumn(), u"routingKey"_s);
    QCOMPARE(model.columns(), QStringList({u"routingKey"_s, u"text"_s}));
    QCOMPARE(model.maximumCount(), 10'000);
    QCOMPARE(model.updateInterval(), 50);
    QCOMPARE(model.count(), 0);
    QVERIFY(model.consumers().isEmpty());
}

void tst_LatestValueModel::eachKeyHasARow()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    QCOMPARE(observed.show({keyed("b", "1"), keyed("a", "2"), keyed("b", "3")}),
             QStringList({u"insert 0-1"_s, u"count 2"_s}));
    QCOMPARE(cells(model, 0), "a b"); // new keys are sorted
    QCOMPARE(texts(model), "2 3");
    QCOMPARE(observed.show({keyed("b", "4")}), QStringList({u"change 1-1"_s}));
    QCOMPARE(texts(model), "2 4");
    QCOMPARE(observed.show({keyed("A", "5"), keyed("a", "6")}),
             QStringList({u"change 0-0"_s, u"insert 2-2"_s, u"count 3"_s}));
    QCOMPARE(cells(model, 0), "a b A"); // rows keep their positions
    QCOMPARE(texts(model), "6 4 5");
    QCOMPARE(model.message(1).text(), u"4"_s);
    QVERIFY(model.message(3) == Message());
    QVERIFY(model.message(-1) == Message());
    QCOMPARE(model.rowCount(model.index(0, 0)), 0);
    QCOMPARE(model.columnCount(model.index(0, 0)), 0);
}

void tst_LatestValueModel::anyNumberOfMessagesIsOneChange()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    for (int i = 0; i < 1000; ++i)
        model.append({keyed("a", QByteArray::number(i)), keyed("b", QByteArray::number(-i))});
    QCOMPARE(model.count(), 0);
    QCOMPARE(observed.finish(), QStringList({u"insert 0-1"_s, u"count 2"_s}));
    QCOMPARE(texts(model), "999 -999");
    observed.changes.clear();
    for (int i = 0; i < 1000; ++i)
        model.append({keyed("b", QByteArray::number(i)), keyed("a", QByteArray::number(-i))});
    QCOMPARE(texts(model), "999 -999");
    QCOMPARE(observed.finish(), QStringList({u"change 0-1"_s}));
    QCOMPARE(texts(model), "-999 999");
}

void tst_LatestValueModel::changesAreAnIntervalApart()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    QSignalSpy changed(&model, &LatestValueModel::updateIntervalChanged);
    model.setUpdateInterval(3'600'000);
    model.append({keyed("a")});
    settleEvents();
    QCOMPARE(model.count(), 0);
    model.setUpdateInterval(0); // applies to pending messages too
    model.setUpdateInterval(0);
    QCOMPARE(changed.size(), 2);
    observed.finish();
    QCOMPARE(texts(model), "a");
}

void tst_LatestValueModel::idleModelHasNoTimer()
{
    Observed observed;
    const auto *timer = observed.model.findChild<QTimer *>();
    QVERIFY(!timer->isActive());
    observed.model.append({});
    QVERIFY(!timer->isActive());
    observed.model.append({keyed("a")});
    QVERIFY(timer->isActive());
    observed.finish();
    QCOMPARE(observed.model.count(), 1);
}

void tst_LatestValueModel::keyIsTheValueOfAColumn_data()
{
    QTest::addColumn<QString>("column");
    QTest::addColumn<QByteArray>("rows");
    QTest::newRow("routing key") << u"routingKey"_s << "{\"id\":2} {\"id\":3}"_ba;
    QTest::newRow("part of the JSON body") << u"json.id"_s << "{\"id\":1} {\"id\":2} {\"id\":3}"_ba;
    QTest::newRow("size") << u"size"_s << "{\"id\":3}"_ba;
    QTest::newRow("missing") << u"headers.none"_s << "{\"id\":3}"_ba;
}

void tst_LatestValueModel::keyIsTheValueOfAColumn()
{
    QFETCH(const QString, column);
    QFETCH(const QByteArray, rows);
    Observed observed;
    observed.model.setKeyColumn(column);
    observed.show({keyed("a", "{\"id\":1}"), keyed("a", "{\"id\":2}"), keyed("b", "{\"id\":3}")});
    QCOMPARE(texts(observed.model), rows);
}

// The display value, which ends after 1000 characters, is not the key.
void tst_LatestValueModel::longKeysAreDistinguished()
{
    Observed observed;
    observed.model.setKeyColumn(u"text"_s);
    const QByteArray text(5000, 'x');
    observed.show({Message(text + 'a'), Message(text + 'b'), Message(text + 'a')});
    QCOMPARE(observed.model.count(), 2);
}

void tst_LatestValueModel::otherKeyColumnClearsTheModel()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    QSignalSpy changed(&model, &LatestValueModel::keyColumnChanged);
    observed.show({keyed("a"), keyed("b")});
    model.append({keyed("c")});
    observed.changes.clear();
    model.setKeyColumn(u"text"_s);
    model.setKeyColumn(u"text"_s);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(observed.changes, QStringList({u"reset"_s, u"count 0"_s}));
    QCOMPARE(observed.finish(), QStringList({u"reset"_s, u"count 0"_s})); // the pending message is dropped too
    observed.show({keyed("a", "x"), keyed("b", "x"), keyed("b", "y")});
    QCOMPARE(texts(model), "x y");
    QCOMPARE(cells(model, 0), "b b");
}

void tst_LatestValueModel::cellsFollowTheirMessage()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    QSignalSpy changed(&model, &LatestValueModel::columnsChanged);
    model.setColumns({u"routingKey"_s, u"json.n"_s});
    model.setColumns({u"routingKey"_s, u"json.n"_s});
    QCOMPARE(changed.size(), 1);
    QCOMPARE(model.headerData(0, Qt::Horizontal).toString(), u"Routing key"_s);
    QCOMPARE(model.headerData(1, Qt::Horizontal).toString(), u"n"_s);
    QVERIFY(!model.headerData(2, Qt::Horizontal).isValid());
    observed.show({keyed("a", "{\"n\":1}"), keyed("b", "{\"n\":2}")});
    QCOMPARE(texts(model), "1 2");
    observed.show({keyed("b", "{\"n\":3}")}); // a value parsed earlier for a cell is not shown again
    QCOMPARE(texts(model), "1 3");
    model.setColumns({u"size"_s});
    QCOMPARE(cells(model, 0), "7 7");
    model.setColumns({});
    QCOMPARE(observed.show({keyed("a", "{}")}), QStringList());
    model.setColumns({u"text"_s});
    QCOMPARE(cells(model, 0), "{} {\"n\":3}");
}

void tst_LatestValueModel::rolesHaveTheMessage()
{
    Observed observed;
    observed.model.setColumns({u"json"_s});
    observed.show({keyed("a", "{\"n\": 1}")});
    const QModelIndex cell = observed.model.index(0, 0);
    QCOMPARE(cell.data().toString(), u"{\"n\":1}"_s);
    QCOMPARE(cell.data(Qt::EditRole).toMap(), QVariantMap({{u"n"_s, 1}}));
    QCOMPARE(cell.data(MessageModel::MessageRole).value<Message>().text(), u"{\"n\": 1}"_s);
    QVERIFY(!cell.data(Qt::ToolTipRole).isValid());
    QVERIFY(!observed.model.data({}).isValid());
    QCOMPARE(observed.model.roleNames().value(MessageModel::MessageRole), "message"_ba);
}

void tst_LatestValueModel::unknownColumnStaysEmpty()
{
    Observed observed;
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^columns: \"nonsense\" "_s));
    observed.model.setColumns({u"text"_s, u"nonsense"_s});
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^keyColumn: \"worse\" "_s));
    observed.model.setKeyColumn(u"worse"_s);
    observed.show({keyed("a"), keyed("b")});
    QCOMPARE(cells(observed.model, 0), "b");
    QCOMPARE(cells(observed.model, 1), "");
}

void tst_LatestValueModel::furtherKeysAreLeftOut()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    model.setMaximumCount(3);
    observed.show({keyed("a", "1")});
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^maximumCount: there are more than 3 keys"_s));
    observed.show({keyed("d", "2"), keyed("c", "3"), keyed("b", "4"), keyed("d", "5"), keyed("a", "6")});
    QCOMPARE(cells(model, 0), "a c d");
    QCOMPARE(texts(model), "6 3 5");
    QTest::failOnWarning(QRegularExpression(u"more keys"_s)); // once
    QCOMPARE(observed.show({keyed("b", "7")}), QStringList());
    model.setMaximumCount(4);
    observed.show({keyed("b", "8")});
    QCOMPARE(texts(model), "6 3 5 8");
}

void tst_LatestValueModel::smallerMaximumClearsTheModel()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    QSignalSpy changed(&model, &LatestValueModel::maximumCountChanged);
    observed.show({keyed("a"), keyed("b")});
    observed.changes.clear();
    model.setMaximumCount(2);
    QCOMPARE(observed.changes, QStringList());
    model.setMaximumCount(1);
    model.setMaximumCount(1);
    QCOMPARE(observed.changes, QStringList({u"reset"_s, u"count 0"_s}));
    QCOMPARE(changed.size(), 2);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^maximumCount: there are more than 1 keys"_s));
    observed.show({keyed("b"), keyed("a")});
    QCOMPARE(texts(model), "b");
}

void tst_LatestValueModel::clearRemovesPendingMessagesToo()
{
    Observed observed;
    LatestValueModel &model = observed.model;
    observed.show({keyed("a")});
    model.append({keyed("a", "1"), keyed("b")});
    observed.changes.clear();
    model.clear();
    model.clear();
    QCOMPARE(observed.finish(), QStringList({u"reset"_s, u"count 0"_s}));
    settleEvents();
    QCOMPARE(model.count(), 0);
    QCOMPARE(observed.show({keyed("b")}), QStringList({u"insert 0-0"_s, u"count 1"_s}));
}

void tst_LatestValueModel::invalidValuesAreRefused()
{
    LatestValueModel model;
    QSignalSpy count(&model, &LatestValueModel::maximumCountChanged);
    QSignalSpy interval(&model, &LatestValueModel::updateIntervalChanged);
    QTest::ignoreMessage(QtWarningMsg, "maximumCount: 0 is out of range; the minimum is 1");
    model.setMaximumCount(0);
    QTest::ignoreMessage(QtWarningMsg, "updateInterval: -1 ms is out of range; the minimum is 0 ms");
    model.setUpdateInterval(-1);
    QCOMPARE(model.maximumCount(), 10'000);
    QCOMPARE(model.updateInterval(), 50);
    QVERIFY(count.isEmpty() && interval.isEmpty());
}

void tst_LatestValueModel::slotMayCallAnything_data()
{
    QTest::addColumn<QByteArray>("call");
    for (const char *call : {"append", "clear", "shrink", "columns", "key column"})
        QTest::newRow(call) << QByteArray(call);
}

// The rows that the update still has to add are up to date.
void tst_LatestValueModel::slotMayCallAnything()
{
    QFETCH(const QByteArray, call);
    Observed observed;
    LatestValueModel &model = observed.model;
    observed.show({keyed("a", "0")});
    bool called = false;
    connect(&model, &QAbstractItemModel::dataChanged, this, [&] {
        if (std::exchange(called, true))
            return;
        if (call == "append")
            model.append({keyed("a", "3"), keyed("b", "4"), keyed("c", "5")});
        else if (call == "clear")
            model.clear();
        else if (call == "shrink")
            model.setMaximumCount(1);
        else if (call == "columns")
            model.setColumns({u"size"_s, u"routingKey"_s});
        else
            model.setKeyColumn(u"text"_s);
    });
    observed.show({keyed("a", "1"), keyed("b", "2")});
    QVERIFY(called);
    observed.finish();
    if (call == "append")
        QCOMPARE(texts(model), "3 4 5");
    else if (call == "columns")
        QCOMPARE(texts(model), "a b");
    else
        QCOMPARE(model.count(), 0);
    model.setColumns({u"routingKey"_s, u"text"_s});
    observed.show({keyed("a", "9")});
    QCOMPARE(texts(model).first(1), "9");
}

void tst_LatestValueModel::slotMayDeleteTheModel_data()
{
    QTest::addColumn<QByteArray>("signal");
    for (const char *signal : {"rowsInserted", "dataChanged", "countChanged", "modelReset", "columnsChanged",
                               "maximumCountChanged", "keyColumnChanged", "updateIntervalChanged"})
        QTest::newRow(signal) << QByteArray(signal);
}

void tst_LatestValueModel::slotMayDeleteTheModel()
{
    QFETCH(const QByteArray, signal);
    QPointer<LatestValueModel> model = new LatestValueModel;
    model->setUpdateInterval(0);
    model->append({keyed("a")});
    QVERIFY(waitUntil([&] { return model->count() == 1; }));
    const auto remove = [&model] { delete model.data(); };
    if (signal == "rowsInserted")
        connect(model, &QAbstractItemModel::rowsInserted, this, remove);
    else if (signal == "dataChanged")
        connect(model, &QAbstractItemModel::dataChanged, this, remove);
    else if (signal == "countChanged")
        connect(model, &LatestValueModel::countChanged, this, remove);
    else if (signal == "modelReset")
        connect(model, &QAbstractItemModel::modelReset, this, remove);
    else if (signal == "columnsChanged")
        connect(model, &LatestValueModel::columnsChanged, this, remove);
    else if (signal == "maximumCountChanged")
        connect(model, &LatestValueModel::maximumCountChanged, this, remove);
    else if (signal == "keyColumnChanged")
        connect(model, &LatestValueModel::keyColumnChanged, this, remove);
    else
        connect(model, &LatestValueModel::updateIntervalChanged, this, remove);
    const std::function<void()> calls[] = {
        [&] {
            model->append({keyed("a"), keyed("b")});
        },
        [&] { settleEvents(); },
        [&] { waitUntil([&] { return !model || !model->findChild<QTimer *>()->isActive(); }); },
        [&] { model->setUpdateInterval(1); },
        [&] { model->setMaximumCount(1); },
        [&] { model->setColumns({u"size"_s}); },
        [&] { model->setKeyColumn(u"size"_s); }};
    for (const auto &call : calls) {
        if (model)
            call();
    }
    QVERIFY(!model);
}

void tst_LatestValueModel::severalConsumersShareTheModel()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Observed observed;
    LatestValueModel &model = observed.model;
    model.setKeyColumn(u"consumerTag"_s);
    Consumer *first = client.consume({.ackMode = AckMode::NoAck});
    Consumer *second = client.consume({.ackMode = AckMode::NoAck});
    model.addConsumer(first);
    model.addConsumer(second);
    model.addConsumer(second);
    model.addConsumer(nullptr);
    QCOMPARE(model.consumers(), QList({first, second}));
    peer.sendRaw(deliveries("c1", 1, {"1a", "1b"}) + deliveries("c2", 3, {"2a"}));
    QVERIFY(waitUntil([&] { return texts(model) == "1b 2a"; }));

    model.removeConsumer(first);
    model.removeConsumer(first);
    model.removeConsumer(nullptr);
    QCOMPARE(model.consumers(), QList({second}));
    peer.sendRaw(deliveries("c1", 4, {"1c"}) + deliveries("c2", 5, {"2b"}));
    QVERIFY(waitUntil([&] { return texts(model) == "1b 2b"; }));
}

void tst_LatestValueModel::consumerReplacesAllOthers()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    LatestValueModel model;
    Consumer *first = client.consume();
    Consumer *second = client.consume();
    model.addConsumer(first);
    model.addConsumer(second);
    model.setConsumer(second);
    QCOMPARE(model.consumers(), QList({second}));
    model.setConsumer(second);
    QCOMPARE(model.consumers(), QList({second}));
    model.setConsumer(nullptr);
    QVERIFY(model.consumers().isEmpty());
}

void tst_LatestValueModel::deletedConsumerLeavesTheList()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    LatestValueModel model;
    Consumer *first = client.consume();
    const QPointer<Consumer> second = client.consume();
    model.addConsumer(first);
    model.addConsumer(second);
    const qsizetype children = model.children().size();
    delete first;
    QCOMPARE(model.consumers(), QList({second.data()}));
    settleEvents();
    QCOMPARE(model.children().size(), children - 1);
    {
        LatestValueModel other;
        other.addConsumer(second);
    }
    QVERIFY(second);
}

void tst_LatestValueModel::consumerMayLiveInAnotherThread()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    Observed observed;
    LatestValueModel &model = observed.model;
    WorkerConsumer worker(peer);
    model.addConsumer(worker.consumer());
    peer.sendRaw(deliveries("c1", 1, {"a", "b"}));
    QVERIFY(waitUntil([&] { return texts(model) == "b"; }));
    // A batch that is queued when the consumer is deleted still arrives.
    worker.call([&] { Q_EMIT worker.consumer()->batchDelivered({Message("last"_ba)}); });
    worker.removeClient();
    QVERIFY(model.consumers().isEmpty());
    model.addConsumer(nullptr);
    QVERIFY(waitUntil([&] { return texts(model) == "last"; }));
}

void tst_LatestValueModel::modelSettlesNothing()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    {
        Observed observed;
        Consumer *consumer = client.consume();
        observed.model.addConsumer(consumer);
        peer.sendRaw(deliveries("c1", 1, {"a", "b", "c"}));
        QVERIFY(waitUntil([&] { return texts(observed.model) == "c"; }));
        QCOMPARE(consumer->unackedCount(), 3);
    }
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 0);
    QCOMPARE(peer.count("basic.nack"), 0);
}

QTEST_GUILESS_MAIN(tst_LatestValueModel)
#include "tst_latestvaluemodel.moc"
