// SPDX-License-Identifier: MIT
#include "../examples/monitor/connectionbanner.h"
#include "client/reconnectingclient.h"

#include <QtWidgets/qlabel.h>
#include <QtWidgets/qpushbutton.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The banner of the example "monitor".
class tst_ConnectionBanner : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void showsAnOutageUntilItIsOver();
    void doesNotShowAnOutageThatIsShort();
    void buttonConnectsNow();
};

static QString textOf(const ConnectionBanner &banner)
{
    return banner.findChild<QLabel *>()->text();
}

void tst_ConnectionBanner::showsAnOutageUntilItIsOver()
{
    ReconnectingClient client(with(later().withCalmAfter(0ms)));
    const ConnectionBanner banner(&client.connection);
    QVERIFY(client.open());
    QVERIFY(banner.isHidden());
    QVERIFY(client.lose());
    QVERIFY(waitUntil([&] { return !banner.isHidden(); }));
    QVERIFY2(textOf(banner).startsWith(client.connection.stateText()), qPrintable(textOf(banner)));
    QVERIFY2(textOf(banner).contains(Unreachable.text()), qPrintable(textOf(banner)));
    QVERIFY(client.fail());
    QVERIFY(waitUntil([&] { return textOf(banner).startsWith(client.connection.stateText()); }));
    QVERIFY2(textOf(banner).contains(u'2'), qPrintable(textOf(banner))); // the number of the attempt
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return banner.isHidden(); }));
}

void tst_ConnectionBanner::doesNotShowAnOutageThatIsShort()
{
    ReconnectingClient client(with(later().withCalmAfter(Never)));
    const ConnectionBanner banner(&client.connection);
    QVERIFY(client.open());
    QVERIFY(client.lose());
    settleEvents();
    QVERIFY(banner.isHidden());
    QVERIFY(client.recover());
    settleEvents();
    QVERIFY(banner.isHidden());
}

void tst_ConnectionBanner::buttonConnectsNow()
{
    ReconnectingClient client(with(later().withCalmAfter(0ms)));
    const ConnectionBanner banner(&client.connection);
    QVERIFY(client.open());
    QVERIFY(client.lose());
    const size_t attempts = client.brokers.size();
    banner.findChild<QPushButton *>()->click();
    QVERIFY(waitUntil([&] { return client.brokers.size() == attempts + 1; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    settleEvents();
    QVERIFY(banner.isHidden());
}

QTEST_MAIN(tst_ConnectionBanner)
#include "tst_connectionbanner.moc"
