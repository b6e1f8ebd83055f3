// SPDX-License-Identifier: MIT
#include "support/wiresupport.h"
#include "wire/methods_p.h"

#include <QtCore/qfile.h>
#include <QtCore/qprocess.h>
#include <QtCore/qset.h>
#include <QtCore/qtemporarydir.h>
#include <QtTest/qtest.h>

#include <type_traits>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;
using WireSupport::ExactBytes;

namespace
{

// Written by hand from the specification and RabbitMQ's extensions, not from the generated file.
constexpr struct {
    MethodId id;
    const char *name;
} methods[] = {
    {{10, 10}, "connection.start"},
    {{10, 11}, "connection.start-ok"},
    {{10, 20}, "connection.secure"},
    {{10, 21}, "connection.secure-ok"},
    {{10, 30}, "connection.tune"},
    {{10, 31}, "connection.tune-ok"},
    {{10, 40}, "connection.open"},
    {{10, 41}, "connection.open-ok"},
    {{10, 50}, "connection.close"},
    {{10, 51}, "connection.close-ok"},
    {{10, 60}, "connection.blocked"},
    {{10, 61}, "connection.unblocked"},
    {{10, 70}, "connection.update-secret"},
    {{10, 71}, "connection.update-secret-ok"},
    {{20, 10}, "channel.open"},
    {{20, 11}, "channel.open-ok"},
    {{20, 20}, "channel.flow"},
    {{20, 21}, "channel.flow-ok"},
    {{20, 40}, "channel.close"},
    {{20, 41}, "channel.close-ok"},
    {{30, 10}, "access.request"},
    {{30, 11}, "access.request-ok"},
    {{40, 10}, "exchange.declare"},
    {{40, 11}, "exchange.declare-ok"},
    {{40, 20}, "exchange.delete"},
    {{40, 21}, "exchange.delete-ok"},
    {{40, 30}, "exchange.bind"},
    {{40, 31}, "exchange.bind-ok"},
    {{40, 40}, "exchange.unbind"},
    {{40, 51}, "exchange.unbind-ok"},
    {{50, 10}, "queue.declare"},
    {{50, 11}, "queue.declare-ok"},
    {{50, 20}, "queue.bind"},
    {{50, 21}, "queue.bind-ok"},
    {{50, 30}, "queue.purge"},
    {{50, 31}, "queue.purge-ok"},
    {{50, 40}, "queue.delete"},
    {{50, 41}, "queue.delete-ok"},
    {{50, 50}, "queue.unbind"},
    {{50, 51}, "queue.unbind-ok"},
    {{60, 10}, "basic.qos"},
    {{60, 11}, "basic.qos-ok"},
    {{60, 20}, "basic.consume"},
    {{60, 21}, "basic.consume-ok"},
    {{60, 30}, "basic.cancel"},
    {{60, 31}, "basic.cancel-ok"},
    {{60, 40}, "basic.publish"},
    {{60, 50}, "basic.return"},
    {{60, 60}, "basic.deliver"},
    {{60, 70}, "basic.get"},
    {{60, 71}, "basic.get-ok"},
    {{60, 72}, "basic.get-empty"},
    {{60, 80}, "basic.ack"},
    {{60, 90}, "basic.reject"},
    {{60, 100}, "basic.recover-async"},
    {{60, 110}, "basic.recover"},
    {{60, 111}, "basic.recover-ok"},
    {{60, 120}, "basic.nack"},
    {{85, 10}, "confirm.select"},
    {{85, 11}, "confirm.select-ok"},
    {{90, 10}, "tx.select"},
    {{90, 11}, "tx.select-ok"},
    {{90, 20}, "tx.commit"},
    {{90, 21}, "tx.commit-ok"},
    {{90, 30}, "tx.rollback"},
    {{90, 31}, "tx.rollback-ok"},
};

template <typename Request, typename Reply>
constexpr bool answeredBy = std::is_same_v<typename Request::Reply, Reply>;

static_assert(answeredBy<ConnectionOpen, ConnectionOpenOk>);
static_assert(answeredBy<ConnectionUpdateSecret, ConnectionUpdateSecretOk>);
static_assert(answeredBy<ChannelFlow, ChannelFlowOk>);
static_assert(answeredBy<AccessRequest, AccessRequestOk>);
static_assert(answeredBy<ExchangeUnbind, ExchangeUnbindOk>);
static_assert(answeredBy<QueueDeclare, QueueDeclareOk>);
static_assert(answeredBy<BasicGet, BasicGetOk>);
static_assert(answeredBy<BasicRecover, BasicRecoverOk>);
static_assert(answeredBy<ConfirmSelect, ConfirmSelectOk>);
static_assert(answeredBy<TxRollback, TxRollbackOk>);
static_assert(answeredBy<QueueDeclareOk, void>);
static_assert(answeredBy<BasicPublish, void>);
static_assert(answeredBy<BasicRecoverAsync, void>);
static_assert(answeredBy<ConnectionBlocked, void>);

static_assert(ConnectionStart::toClient && !ConnectionStart::toServer);
static_assert(!ConnectionStartOk::toClient && ConnectionStartOk::toServer);
static_assert(ChannelClose::toClient && ChannelClose::toServer);
static_assert(BasicAck::toClient && BasicNack::toClient && BasicCancel::toClient && BasicCancel::toServer);
static_assert(!BasicReject::toClient && !BasicPublish::toClient && BasicDeliver::toClient && !BasicDeliver::toServer);
static_assert(ConnectionBlocked::toClient && !ConnectionBlocked::toServer);

static_assert(BasicPublish::hasContent && BasicReturn::hasContent && BasicDeliver::hasContent &&
              BasicGetOk::hasContent);
static_assert(!BasicGetEmpty::hasContent && !BasicGet::hasContent && !BasicAck::hasContent);

static_assert(ReplyCode::ReplySuccess == 200 && ReplyCode::NoRoute == 312 && ReplyCode::NotFound == 404 &&
              ReplyCode::InternalError == 541);

// Records the arguments with which visitMethod() calls the handler. With a lambda in forEachMethod(), visitMethod()
// would be instantiated for each method.
struct Visited {
    Visit result = Visit::UnknownMethod;
    QByteArray name; // null if the handler was not called
    QByteArrayList fields;
    QByteArray encodedAgain; // the arguments

    Visited(MethodId id, QByteArrayView arguments) { result = visitMethod(id, arguments, *this); }

    template <typename M>
    void operator()(const M &method)
    {
        name = M::name;
        fields = WireSupport::collected(method);
        encodedAgain = encodePayload(method).sliced(4);
    }
};

} // namespace

class tst_Methods : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyMethodHasItsNumberAndName();
    void methodsOfOtherNumbersAreUnknown();
    void methodsAreLaidOutAsSpecified_data();
    void methodsAreLaidOutAsSpecified();
    void everyMethodSurvivesARoundTrip();
    void everyMethodIsVisitedAsItself();
    void everyMethodCutOffAnywhereIsMalformed();
    void mutatedMethodsAreDecodedFaithfullyOrRejected();
    void generatorWritesTheCommittedFile();
};

void tst_Methods::everyMethodHasItsNumberAndName()
{
    for (const auto &method : methods)
        QCOMPARE(methodName(method.id), method.name);

    const auto line = [](MethodId id, const char *name) {
        return u"%1.%2 %3"_s.arg(id.classId).arg(id.methodId).arg(QLatin1StringView(name));
    };
    QStringList generated, expected;
    WireSupport::forEachMethod([&]<typename M>() { generated.append(line(M::id, M::name)); });
    for (const auto &method : methods)
        expected.append(line(method.id, method.name));
    QCOMPARE(generated, expected);
}

void tst_Methods::methodsOfOtherNumbersAreUnknown()
{
    QSet<quint32> known;
    for (const auto &method : methods)
        known.insert(method.id.value());
    const QByteArray zeros(64, '\0');
    for (quint16 classId = 0; classId < 300; ++classId) {
        for (quint16 methodId = 0; methodId < 300; ++methodId) {
            const MethodId id{classId, methodId};
            const Visited visited(id, zeros);
            QCOMPARE(visited.result, known.contains(id.value()) ? Visit::Done : Visit::UnknownMethod);
            QCOMPARE(visited.name, QByteArray(methodName(id)));
            QCOMPARE(visited.name.isNull(), !known.contains(id.value()));
        }
    }
    QCOMPARE(methodName({0xffff, 0xffff}), nullptr);
    // other combinations of the halves of 10 << 16 and 10
    QCOMPARE(methodName({0, 10}), nullptr);
    QCOMPARE(methodName({10, 0}), nullptr);
}

void tst_Methods::methodsAreLaidOutAsSpecified_data()
{
    QTest::addColumn<QByteArray>("payload");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const auto &method, const char *expected) {
        QTest::newRow(method.name) << encodePayload(method).toHex() << QByteArray::fromHex(expected).toHex();
    };

    const QByteArray properties = QByteArray::fromHex("07 70726f64756374 53 00000001 41"); // product=A
    row(ConnectionStartOk{.clientProperties = {properties},
                          .mechanism = "PLAIN",
                          .response = QByteArrayView("\0u\0p", 4),
                          .locale = "en_US"},
        "000a 000b  0000000e 07 70726f64756374 53 00000001 41  05 504c41494e  00000004 00750070  05 656e5f5553");
    row(ConnectionTuneOk{.channelMax = 2047, .frameMax = 131072, .heartbeat = 60}, "000a 001f  07ff  00020000  003c");
    row(ConnectionOpen{.virtualHost = "/"}, "000a 0028  01 2f  00  00");
    row(ConnectionClose{.replyCode = 200, .replyText = "bye", .classId = 60, .methodId = 40},
        "000a 0032  00c8  03 627965  003c  0028");
    row(ConnectionBlocked{.reason = "low on memory"}, "000a 003c  0d 6c6f77206f6e206d656d6f7279");
    row(ConnectionUnblocked{}, "000a 003d");
    row(ConnectionUpdateSecret{.newSecret = "s", .reason = "r"}, "000a 0046  00000001 73  01 72");
    row(ChannelOpen{}, "0014 000a  00");
    row(ChannelOpenOk{}, "0014 000b  00000000");
    row(ChannelFlow{.active = true}, "0014 0014  01");
    row(AccessRequest{.realm = "/data", .passive = true, .active = true, .write = true, .read = true},
        "001e 000a  05 2f64617461  1e");
    row(AccessRequestOk{.ticket = 1}, "001e 000b  0001");
    row(ExchangeDeclare{.ticket = 1,
                        .exchange = "e",
                        .type = "topic",
                        .passive = false,
                        .durable = true,
                        .autoDelete = false,
                        .internal = true,
                        .noWait = false,
                        .arguments = {}},
        "0028 000a  0001  01 65  05 746f706963  0a  00000000");
    row(ExchangeUnbind{.destination = "d", .source = "s", .routingKey = "k", .noWait = true},
        "0028 0028  0000  01 64  01 73  01 6b  01  00000000");
    row(QueueDeclare{.queue = "q", .durable = true, .autoDelete = true}, "0032 000a  0000  01 71  0a  00000000");
    row(QueueDeclareOk{.queue = "q", .messageCount = 1, .consumerCount = 2}, "0032 000b  01 71  00000001  00000002");
    row(QueueBind{.queue = "q", .exchange = "e", .routingKey = "k"},
        "0032 0014  0000  01 71  01 65  01 6b  00  00000000");
    row(QueueUnbind{.queue = "q", .exchange = "e", .routingKey = "k"},
        "0032 0032  0000  01 71  01 65  01 6b  00000000");
    row(QueueDelete{.queue = "q", .ifUnused = false, .ifEmpty = true, .noWait = true}, "0032 0028  0000  01 71  06");
    row(BasicQos{.prefetchSize = 0, .prefetchCount = 500, .global = true}, "003c 000a  00000000  01f4  01");
    row(BasicConsume{.queue = "q", .consumerTag = "t", .noAck = true, .noWait = true},
        "003c 0014  0000  01 71  01 74  0a  00000000");
    row(BasicCancel{.consumerTag = "t", .noWait = true}, "003c 001e  01 74  01");
    row(BasicPublish{.exchange = "e", .routingKey = "k", .mandatory = true}, "003c 0028  0000  01 65  01 6b  01");
    row(BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "", .routingKey = "k"},
        "003c 0032  0138  08 4e4f5f524f555445  00  01 6b");
    row(BasicDeliver{.consumerTag = "t",
                     .deliveryTag = 0x0102030405060708,
                     .redelivered = true,
                     .exchange = "e",
                     .routingKey = "k"},
        "003c 003c  01 74  0102030405060708  01  01 65  01 6b");
    row(BasicGetOk{.deliveryTag = 1, .redelivered = false, .exchange = "", .routingKey = "k", .messageCount = 9},
        "003c 0047  0000000000000001  00  00  01 6b  00000009");
    row(BasicAck{.deliveryTag = 7, .multiple = true}, "003c 0050  0000000000000007  01");
    row(BasicReject{.deliveryTag = 7, .requeue = true}, "003c 005a  0000000000000007  01");
    row(BasicNack{.deliveryTag = 7, .multiple = false, .requeue = true}, "003c 0078  0000000000000007  02");
    row(BasicRecover{.requeue = true}, "003c 006e  01");
    row(ConfirmSelect{.noWait = false}, "0055 000a  00");
    row(TxCommitOk{}, "005a 0015");
}

void tst_Methods::methodsAreLaidOutAsSpecified()
{
    QFETCH(QByteArray, payload);
    QFETCH(QByteArray, expected);
    QCOMPARE(payload, expected);
}

void tst_Methods::everyMethodSurvivesARoundTrip()
{
    for (quint32 seed = 0; seed < 64; ++seed) {
        WireSupport::forEachMethod([&]<typename M>() {
            WireSupport::FieldFiller filler(seed);
            M sent;
            M::fields(sent, filler);
            const QByteArray payload = encodePayload(sent);
            QCOMPARE(payload.size(), payloadSize(sent));
            const ExactBytes arguments(QByteArrayView(payload).sliced(4));
            M received;
            QCOMPARE(decodeArguments(arguments, received), nullptr);
            QCOMPARE(WireSupport::collected(received), WireSupport::collected(sent));
        });
    }
}

void tst_Methods::everyMethodIsVisitedAsItself()
{
    WireSupport::forEachMethod([]<typename M>() {
        WireSupport::FieldFiller filler(1);
        M sent;
        M::fields(sent, filler);
        const ExactBytes arguments(QByteArrayView(encodePayload(sent)).sliced(4));
        const Visited visited(M::id, arguments);
        QCOMPARE(visited.result, Visit::Done);
        QCOMPARE(visited.name, M::name);
        QCOMPARE(visited.fields, WireSupport::collected(sent));
    });
}

void tst_Methods::everyMethodCutOffAnywhereIsMalformed()
{
    for (quint32 seed = 0; seed < 16; ++seed) {
        WireSupport::forEachMethod([&]<typename M>() {
            WireSupport::FieldFiller filler(seed);
            M sent;
            M::fields(sent, filler);
            const QByteArray arguments = encodePayload(sent).sliced(4);
            for (qsizetype size = 0; size < arguments.size(); ++size) {
                M received;
                QVERIFY(decodeArguments(ExactBytes(arguments.first(size)), received));
                const Visited visited(M::id, ExactBytes(arguments.first(size)));
                QCOMPARE(visited.result, Visit::Malformed);
                QVERIFY(visited.name.isNull());
            }
        });
    }
}

void tst_Methods::mutatedMethodsAreDecodedFaithfullyOrRejected()
{
    QRandomGenerator random(0x0901);
    int done = 0, malformed = 0;
    for (quint32 seed = 0; seed < 1600; ++seed) {
        WireSupport::forEachMethod([&]<typename M>() {
            WireSupport::FieldFiller filler(seed);
            M sent;
            M::fields(sent, filler);
            const ExactBytes arguments(WireSupport::mutated(encodePayload(sent).sliced(4), random));
            const Visited visited(M::id, arguments);
            if (visited.result == Visit::Malformed) {
                ++malformed;
                return;
            }
            ++done;
            const Visited again(M::id, visited.encodedAgain);
            QCOMPARE(again.result, Visit::Done);
            QCOMPARE(again.fields, visited.fields);
        });
        if (QTest::currentTestFailed())
            return;
    }
    // Some input was accepted and some rejected, so both paths were taken.
    QVERIFY2(done > 10000 && malformed > 10000, qPrintable(u"%1 read, %2 malformed"_s.arg(done).arg(malformed)));
}

void tst_Methods::generatorWritesTheCommittedFile()
{
    const QString wire = QStringLiteral(AMQPQT_SOURCE_DIR "/src/wire/");
    QTemporaryDir directory;
    const QString fresh = directory.filePath(u"methods_p.h"_s);
    QProcess python;
    python.setProcessChannelMode(QProcess::MergedChannels);
    python.start(u"python3"_s, {u"-B"_s, wire + u"spec/generate.py"_s, u"--output"_s, fresh});
    QVERIFY2(python.waitForStarted(), "python3 is needed to compare methods_p.h with the specification");
    QVERIFY(python.waitForFinished());
    QVERIFY2(python.exitStatus() == QProcess::NormalExit && python.exitCode() == 0, python.readAll().constData());

    QFile generated(fresh), committed(wire + u"methods_p.h"_s);
    QVERIFY(generated.open(QIODevice::ReadOnly));
    QVERIFY(committed.open(QIODevice::ReadOnly));
    // Compares line by line, so that a failure shows the line that differs.
    const QByteArrayList generatedLines = generated.readAll().split('\n');
    const QByteArrayList committedLines = committed.readAll().split('\n');
    for (qsizetype i = 0; i < qMin(generatedLines.size(), committedLines.size()); ++i)
        QCOMPARE(committedLines.at(i), generatedLines.at(i));
    QCOMPARE(committedLines.size(), generatedLines.size());
}

QTEST_GUILESS_MAIN(tst_Methods)
#include "tst_methods.moc"
