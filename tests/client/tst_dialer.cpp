// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "support/memorytransport.h"

#include <QtCore/qscopeguard.h>
#include <QtNetwork/qnetworkproxy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// A dialer whose transports are in memory.
struct OneDialer {
    explicit OneDialer(const ConnectionParameters &parameters)
        : dialer(
              parameters,
              [this](const ConnectionParameters &, const Endpoint &, QObject *parent) {
                  auto made = std::make_unique<MemoryTransport>(parent);
                  transport = made.get();
                  return made;
              },
              nullptr)
    {
    }

    QPointer<MemoryTransport> transport; // the latest one
    Dialer dialer;
};

} // namespace

// An attempt to connect without a connection: which transports are made, and what they report.
class tst_Dialer : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void transportGetsAddressAndPeerName();
    void unencryptedPasswordIsWarnedAbout_data();
    void unencryptedPasswordIsWarnedAbout();
    void transportReportsUntilItIsTaken();
    void nextTransportReplacesTheCurrentOne();
    void stoppedDialerHasNothingLeft();
};

void tst_Dialer::transportGetsAddressAndPeerName()
{
    const auto addressOf = [](const Endpoint &endpoint) {
        ConnectionParameters parameters;
        parameters.setEndpoints({endpoint});
        OneDialer one(parameters);
        one.dialer.dialNext();
        const PeerAddress address = one.transport->address();
        return u"%1 %2 %3"_s.arg(address.host).arg(address.port).arg(address.name);
    };
    QCOMPARE(addressOf({u"127.0.0.1"_s}), u"127.0.0.1 5672 127.0.0.1"_s);
    QCOMPARE(addressOf({u"h"_s, 0, true}), u"h 5671 h"_s);
    QCOMPARE(addressOf({u"h"_s, 1, true, u"broker.example"_s}), u"h 1 broker.example"_s);
}

void tst_Dialer::unencryptedPasswordIsWarnedAbout_data()
{
    QTest::addColumn<Endpoint>("endpoint");
    QTest::addColumn<bool>("usesProxy");
    QTest::addColumn<bool>("sendsPassword");
    QTest::addColumn<bool>("isWarned");
    const Endpoint remote{u"broker.example"_s};
    QTest::newRow("another machine") << remote << false << true << true;
    QTest::newRow("with TLS") << Endpoint{u"broker.example"_s, 0, true} << false << true << false;
    QTest::newRow("without a password") << remote << false << false << false;
    for (const char *host : {"localhost", "LOCALHOST", "127.0.0.2", "::1"}) {
        const Endpoint local{QString::fromLatin1(host)};
        QTest::addRow("%s", host) << local << false << true << false;
        QTest::addRow("%s of a proxy", host) << local << true << true << true;
    }
}

void tst_Dialer::unencryptedPasswordIsWarnedAbout()
{
    QFETCH(const Endpoint, endpoint);
    QFETCH(const bool, usesProxy);
    QFETCH(const bool, sendsPassword);
    QFETCH(const bool, isWarned);
    static QStringList logged;
    logged.clear();
    const QtMessageHandler before =
        qInstallMessageHandler([](QtMsgType, const QMessageLogContext &, const QString &text) { logged += text; });
    const auto restore = qScopeGuard([&] { qInstallMessageHandler(before); });
    ConnectionParameters parameters;
    parameters.setEndpoints({endpoint});
    if (usesProxy)
        parameters.setProxy(QNetworkProxy(QNetworkProxy::HttpProxy, u"proxy.example"_s, 3128));
    if (sendsPassword)
        parameters.setCredentials(u"user"_s, u"hunter2"_s);
    else
        parameters.setAnonymousAuthentication();
    OneDialer(parameters).dialer.dialNext();
    const QString warning =
        u"the password is sent to %1 without encryption; an endpoint with TLS, amqps://, encrypts it"_s.arg(
            endpoint.host);
    QCOMPARE(logged, isWarned ? QStringList{warning} : QStringList());
}

void tst_Dialer::transportReportsUntilItIsTaken()
{
    OneDialer one({});
    QSignalSpy awaiting(&one.dialer, &Dialer::awaiting);
    QSignalSpy sslErrors(&one.dialer, &Dialer::sslErrors);
    QSignalSpy ready(&one.dialer, &Dialer::ready);
    QSignalSpy failed(&one.dialer, &Dialer::failed);
    one.dialer.dialNext();
    const auto report = [&] {
        Q_EMIT one.transport->awaiting(u"TLS"_s);
        Q_EMIT one.transport->sslErrors({});
        Q_EMIT one.transport->ready();
        Q_EMIT one.transport->failed(Error(ErrorKind::Network, u"unreachable"_s));
    };
    report();
    for (int i = 0; i < 2; ++i) {
        QCOMPARE(awaiting.size(), 1);
        QCOMPARE(sslErrors.size(), 1);
        QCOMPARE(ready.size(), 1);
        QCOMPARE(failed.size(), 1);
        if (i == 0) {
            const std::unique_ptr<Transport> taken = one.dialer.takeTransport();
            QCOMPARE(taken.get(), one.transport);
            report();
        }
    }
}

void tst_Dialer::nextTransportReplacesTheCurrentOne()
{
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s}, {u"127.0.0.2"_s}});
    OneDialer one(parameters);
    QSignalSpy due(&one.dialer, &Dialer::nextIsDue);
    one.dialer.dialNext();
    const QPointer<MemoryTransport> first = one.transport;
    one.dialer.scheduleNext();
    QVERIFY(!first);
    QVERIFY(one.dialer.isNextScheduled());
    QVERIFY(waitUntil([&] { return due.size() == 1; }));
    QVERIFY(!one.dialer.isNextScheduled());
    one.dialer.dialNext();
    QCOMPARE(one.transport->address().host, u"127.0.0.2"_s);
    QVERIFY(!one.dialer.hasNext());
}

void tst_Dialer::stoppedDialerHasNothingLeft()
{
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s}, {u"127.0.0.2"_s}});
    for (const int passes : {1, 2}) {
        parameters.setConnectionAttempts(passes);
        OneDialer one(parameters);
        QSignalSpy due(&one.dialer, &Dialer::nextIsDue);
        one.dialer.dialNext();
        if (passes == 2)
            one.dialer.dialNext(); // the rest is another pass
        QVERIFY(one.dialer.hasNext());
        one.dialer.scheduleNext();
        one.dialer.stop();
        QVERIFY(!one.dialer.hasNext());
        QVERIFY(!one.dialer.isNextScheduled());
        QVERIFY(!one.transport);
        settleEvents();
        QCOMPARE(due.size(), 0);
    }
}

QTEST_GUILESS_MAIN(tst_Dialer)
#include "tst_dialer.moc"
