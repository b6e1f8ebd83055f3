// SPDX-License-Identifier: MIT
#include "client/namedcalls.h"

#include <AmqpQt/publisher.h>

#include <QtCore/qprocess.h>
#include <QtCore/qregularexpression.h>

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Calls from another thread than that of the objects fail, and send nothing.
class tst_ForeignThreads : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void callsOfForeignThreadsFail_data();
    void callsOfForeignThreadsFail();
    void parentsOfOtherThreadsAreReplaced();
};

namespace
{

using ForeignCall =
    std::function<Error(OpenClient &, const Message &)>; // no error if the call has no reply or was not rejected
const QMap<QString, ForeignCall> &foreignCalls()
{
    static const QMap<QString, ForeignCall> calls = [] {
        QMap<QString, ForeignCall> all = {
            {u"open"_s, [](OpenClient &client, const Message &) { return errorOf(client.connection.open()); }},
            {u"closeConnection"_s,
             [](OpenClient &client, const Message &) { return errorOf(client.connection.close()); }},
            {u"updateSecret"_s,
             [](OpenClient &client, const Message &) { return errorOf(client.connection.updateSecret(u"s"_s)); }},
            {u"setCredentials"_s,
             [](OpenClient &client, const Message &) {
                 return errorOf(client.connection.setCredentials(u"guest"_s, u"s"_s));
             }},
            {u"createChannel"_s,
             [](OpenClient &client, const Message &) { return client.connection.createChannel()->error(); }},
            {u"createChannelWithAParent"_s,
             [](OpenClient &client, const Message &) {
                 return client.connection.createChannel(client.channel)->error();
             }},
            {u"Publisher"_s,
             [](OpenClient &client, const Message &message) {
                 Publisher publisher(&client.connection);
                 return publisher.publish(message) > 0 || publisher.channel() ? Error() : publisher.error();
             }},
        };
        visitChannelCalls([&all](const char *name, auto call) {
            all.insert(QLatin1StringView(name), [call](OpenClient &client, const Message &message) {
                const Error rejected(ErrorKind::InvalidArgument, {});
                const ChannelArguments arguments{.message = message};
                using Returned = ReturnedBy<decltype(call)>;
                if constexpr (IsReply<Returned>) {
                    return errorOf(call(client.channel, arguments));
                } else if constexpr (std::is_void_v<Returned>) {
                    call(client.channel, arguments);
                    return client.channel->confirmWindow() == 0 ? rejected : Error();
                } else if constexpr (std::is_same_v<Returned, bool>) {
                    return call(client.channel, arguments) ? Error() : rejected;
                } else {
                    return isRefused(call(client.channel, arguments)) ? rejected : Error();
                }
            });
        });
        return all;
    }();
    return calls;
}

// Runs in a separate process, since debug builds assert. The exit code is the result.
int makeForeignCall(const QString &name)
{
    ScriptedPeer peer;
    OpenClient client(peer);
    const Message message = receive(peer, client, client.channel, AckMode::Manual, 1, 1).constFirst();
    settle(client.connection);
    peer.forgetReceived();
    const auto objects = [&] { return client.connection.findChildren<QObject *>().size(); };
    const qsizetype before = objects();
    Error error;
    std::thread([&] { error = foreignCalls().value(name)(client, message); }).join();
    settle(client.connection);
    for (const Command &command : peer.received()) {
        if (command.channel == client.channel->number())
            return 1;
    }
    if (error.kind() != ErrorKind::InvalidArgument || !client.channel->isOpen())
        return 2;
    // Objects that were created despite the error have an owner and live in its thread.
    const bool makesAnObject = name.startsWith(u"createChannel") || name == u"consume";
    if (objects() != before + makesAnObject)
        return 4;
    return client.channel->ack(message) ? 0 : 3;
}

constexpr char ForeignCallOption[] = "--foreign-call";

} // namespace

void tst_ForeignThreads::callsOfForeignThreadsFail_data()
{
    QTest::addColumn<QString>("call");
    for (const QString &call : foreignCalls().keys())
        QTest::newRow(qPrintable(call)) << call;
}

void tst_ForeignThreads::callsOfForeignThreadsFail()
{
    QFETCH(const QString, call);
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(QCoreApplication::applicationFilePath(), {QLatin1StringView(ForeignCallOption), call});
    QVERIFY(process.waitForFinished());
    const QByteArray output = process.readAll();
    if (call != u"Publisher")
        QVERIFY2(output.contains("called from another thread"), output.constData());
#ifdef QT_NO_DEBUG
    QVERIFY2(process.exitStatus() == QProcess::NormalExit && process.exitCode() == 0, output.constData());
#else
    if (call != u"Publisher")
        QVERIFY2(process.exitStatus() == QProcess::CrashExit && output.contains("ASSERT"), output.constData());
#endif
}

void tst_ForeignThreads::parentsOfOtherThreadsAreReplaced()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    QThread thread;
    QObject foreign;
    foreign.moveToThread(&thread);
    QTest::ignoreMessage(QtWarningMsg,
                         QRegularExpression(u"^createChannel\\(\\): the parent lives in another thread"_s));
    const Channel *channel = client.connection.createChannel(&foreign);
    QCOMPARE(channel->parent(), &client.connection);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^consume\\(\\): the parent lives in another thread"_s));
    const Consumer *consumer = client.channel->consume(u"q"_s, {}, &foreign);
    QCOMPARE(consumer->parent(), client.channel);
    QVERIFY(waitUntil([&] { return channel->isOpen() && consumer->state() == Consumer::State::Active; }));
}

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    if (const QStringList arguments = application.arguments();
        arguments.value(1) == QLatin1StringView(ForeignCallOption))
        return makeForeignCall(arguments.value(2));
    tst_ForeignThreads test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_foreignthreads.moc"
