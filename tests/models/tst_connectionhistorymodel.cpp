// SPDX-License-Identifier: MIT
#include "client/reconnectingclient.h"

#include <AmqpQt/connectionhistorymodel.h>

#include <QtTest/qabstractitemmodeltester.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

using Event = ConnectionHistoryModel::Event;

class tst_ConnectionHistoryModel : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void eventsAreListedNewestFirst();
    void columnsAndRolesAgree();
    void failuresOfARecoveryAreListed();
    void oldestRowsAreRemoved();
    void connectionMayBeReplacedAndDeleted();
};

namespace
{

QList<Event> events(const ConnectionHistoryModel &model)
{
    QList<Event> list;
    for (int row = 0; row < model.rowCount(); ++row)
        list += Event(model.index(row, 0).data(ConnectionHistoryModel::EventRole).toInt());
    return list;
}

} // namespace

void tst_ConnectionHistoryModel::eventsAreListedNewestFirst()
{
    ReconnectingClient client;
    ConnectionHistoryModel model;
    const QAbstractItemModelTester tester(&model);
    model.setConnection(&client.connection);
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.fail());
    QVERIFY(client.recover());
    client.connection.abort();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed ok"_s); }));
    QCOMPARE(events(model),
             QList<Event>({Event::Closed, Event::Recovered, Event::AttemptFailed, Event::Lost, Event::Opened}));
    const auto value = [&](int row, int role) { return model.index(row, 0).data(role); };
    QCOMPARE(value(3, ConnectionHistoryModel::ReasonRole).toString(), u"unreachable"_s);
    for (const int row : {0, 1, 3})
        QVERIFY(value(row, ConnectionHistoryModel::DurationRole).toLongLong() >= 0);
    for (const int row : {2, 4})
        QVERIFY(!value(row, ConnectionHistoryModel::DurationRole).isValid());
    for (int row = 1; row < model.rowCount(); ++row)
        QVERIFY(value(row, ConnectionHistoryModel::TimeRole).toDateTime() <=
                value(row - 1, ConnectionHistoryModel::TimeRole).toDateTime());
}

void tst_ConnectionHistoryModel::columnsAndRolesAgree()
{
    ReconnectingClient client;
    ConnectionHistoryModel model;
    model.setConnection(&client.connection);
    client.connection.open();
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return model.rowCount() == 1; }));
    using M = ConnectionHistoryModel;
    QCOMPARE(model.columnCount(), int(M::ColumnCount));
    QCOMPARE(model.index(0, M::TimeColumn).data(), model.index(0, 0).data(M::TimeRole));
    QCOMPARE(model.index(0, M::EventColumn).data().toString(), u"Attempt failed"_s);
    QCOMPARE(model.index(0, M::EventColumn).data(), model.index(0, 0).data(M::EventTextRole));
    QCOMPARE(model.index(0, M::ReasonColumn).data().toString(), u"unreachable"_s);
    QVERIFY(!model.index(0, M::DurationColumn).data().isValid());
    QCOMPARE(model.index(0, M::SkippedColumn).data().toString(), QString());
    for (int column = 0; column < M::ColumnCount; ++column)
        QVERIFY(!model.headerData(column, Qt::Horizontal).toString().isEmpty());
    for (const char *role : {"time", "event", "eventText", "reason", "duration", "skipped"})
        QVERIFY(model.roleNames().values().contains(role));
}

void tst_ConnectionHistoryModel::failuresOfARecoveryAreListed()
{
    Connection connection;
    ConnectionHistoryModel model;
    model.setConnection(&connection);
    RecoveryReport report;
    report.failed = {{u"queue \"a\""_s, Error(ErrorKind::ChannelClosed, u"no"_s, 406)},
                     {u"queue \"b\""_s, Error(ErrorKind::ChannelClosed, u"no"_s, 406)}};
    Q_EMIT connection.recovered(report);
    QCOMPARE(model.index(0, 0).data(ConnectionHistoryModel::SkippedRole).toStringList(), report.failures());
    const QString text = model.index(0, ConnectionHistoryModel::SkippedColumn).data().toString();
    QVERIFY2(text.contains(u"\"a\""_s) && text.contains(u"\"b\""_s), qPrintable(text));
}

void tst_ConnectionHistoryModel::oldestRowsAreRemoved()
{
    Connection connection;
    ConnectionHistoryModel model;
    const QAbstractItemModelTester tester(&model);
    model.setConnection(&connection);
    model.setMaximumCount(3);
    QSignalSpy counts(&model, &ConnectionHistoryModel::countChanged);
    Q_EMIT connection.opened();
    for (int i = 0; i < 3; ++i)
        Q_EMIT connection.recovered({});
    QCOMPARE(events(model), QList<Event>({Event::Recovered, Event::Recovered, Event::Recovered}));
    QCOMPARE(counts.size(), 4);
    model.setMaximumCount(1);
    QCOMPARE(model.count(), 1);
    QTest::ignoreMessage(QtWarningMsg, "ConnectionHistoryModel: maximumCount: 0 is out of range; the minimum is 1");
    model.setMaximumCount(0);
    QCOMPARE(model.maximumCount(), 1);
    model.clear();
    QCOMPARE(model.rowCount(), 0);
}

void tst_ConnectionHistoryModel::connectionMayBeReplacedAndDeleted()
{
    ConnectionHistoryModel model;
    Connection first;
    {
        Connection second;
        model.setConnection(&first);
        model.setConnection(&second);
        Q_EMIT first.opened();
        QCOMPARE(model.rowCount(), 0);
        Q_EMIT second.opened();
        QCOMPARE(model.rowCount(), 1);
    }
    QVERIFY(!model.connection());
    QCOMPARE(model.rowCount(), 1);
    model.setConnection(&first);
    model.setConnection(nullptr);
    Q_EMIT first.opened();
    QCOMPARE(model.rowCount(), 1);
}

QTEST_GUILESS_MAIN(tst_ConnectionHistoryModel)

#include "tst_connectionhistorymodel.moc"
