// SPDX-License-Identifier: MIT
#include "support/clientexerciser.h"

#include "client/connection/connection_p.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qloggingcategory.h>
#include <QtCore/qthread.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

Q_LOGGING_CATEGORY(lcExerciser, "amqpqt.exerciser") // the actions of the application, and the signals it gets

} // namespace

ClientExerciser::ClientExerciser(QByteArrayView script)
    : m_script(script)
    , m_flags(m_script.byte())
    , m_broker(m_script, m_flags & 1)
{
    m_observer.inSlot = [this](const QByteArray &signal) { actInSlot(signal); };
    m_observer.failed = [this](const QString &what) { fail(what); };
}

ClientExerciser::~ClientExerciser()
{
    deleteAll();
}

const std::vector<ClientExerciser::Action> &ClientExerciser::actions()
{
    using E = ClientExerciser;
    static const std::vector<Action> all = {
        {2, "createConnection", &E::createConnection},
        {8, "open", &E::open},
        {4, "reconnectNow", &E::reconnectNow},
        {3, "close", &E::close},
        {2, "abort", &E::abort},
        {1, "updateSecret", &E::updateSecret},
        {1, "setCredentials", &E::setCredentials},
        {2, "setParameters", &E::setParameters},
        {1, "deleteConnection", &E::deleteConnection},
        {8, "createChannel", &E::createChannel},
        {5, "reopenChannel", &E::reopenChannel},
        {3, "closeChannel", &E::closeChannel},
        {2, "deleteChannel", &E::deleteChannel},
        {12, "callChannel", &E::callChannel},
        {5, "selectMode", &E::selectMode},
        {5, "get", &E::get},
        {14, "publish", &E::publish},
        {2, "publishMany", &E::publishMany},
        {12, "consume", &E::consume},
        {5, "cancelConsumer", &E::cancelConsumer},
        {3, "deleteConsumer", &E::deleteConsumer},
        {3, "reconnectSlots", &E::reconnectSlots},
        {16, "settle", &E::settle},
        {6, "settleByChannel", &E::settleByChannel},
        {2, "forgetMessages", &E::forgetMessages},
        {3, "createPublisher", &E::createPublisher},
        {10, "publishByPublisher", &E::publishByPublisher},
        {3, "changePublisher", &E::changePublisher},
        {1, "deletePublisher", &E::deletePublisher},
        {6, "runNestedLoop", &E::runNestedLoop},
    };
    return all;
}

const ClientExerciser::ChannelCalls &ClientExerciser::channelCalls()
{
    static const ChannelCalls all = [] {
        const QList<QByteArrayView> actions{"whenOpen",         "consume",    "get",           "publish",
                                            "publishWithReply", "reopen",     "confirmSelect", "txSelect",
                                            "txCommit",         "txRollback", "close"};
        ChannelCalls calls;
        Test::visitChannelCalls([&](const char *name, auto call) {
            using Returned = Test::ReturnedBy<decltype(call)>;
            if constexpr (std::is_same_v<Returned, bool>) {
                calls.settling.push_back([call](ClientExerciser &e, Channel *channel, const auto &arguments) {
                    e.m_observer.called([&] { return call(channel, arguments); });
                });
            } else if constexpr (Test::IsReply<Returned>) {
                if (!actions.contains(name))
                    calls.others.push_back([name, call](ClientExerciser &e, Channel *channel, const auto &arguments) {
                        e.make([&] { return call(channel, arguments); }, name);
                    });
            } else if (!actions.contains(name)) {
                calls.others.push_back([call](ClientExerciser &e, Channel *channel, const auto &arguments) {
                    e.m_observer.called([&] { return call(channel, arguments); });
                });
            }
        });
        return calls;
    }();
    return all;
}

QString ClientExerciser::run()
{
    createConnection();
    if (m_flags & 2) { // begins with an open connection and a consumer
        open();
        createChannel();
        consume();
        for (int i = 0; i < 8; ++i) {
            m_broker.answerEverything();
            runEvents();
        }
        if (m_flags & 16)
            beginRecovery();
    }
    while (m_failure.isEmpty() && !m_script.isEmpty())
        step();
    if (m_failure.isEmpty())
        finish();
    return m_failure;
}

// Loses the connections, and stops at some point of their recovery.
void ClientExerciser::beginRecovery()
{
    if (Channel *channel = anyChannel())
        make([&] { return channel->declareTemporaryQueue(); }, "declareTemporaryQueue");
    for (int passes = 0; passes < 4; ++passes) {
        m_broker.answerEverything();
        runEvents();
    }
    m_broker.hangUp();
    for (int passes = 0; passes < 4; ++passes)
        runEvents();
    for (const ClientObserver::ConnectionRecord &record : m_observer.connections) {
        if (record.object)
            m_observer.called([&] { record.object->reconnectNow(); });
    }
    for (int passes = m_script.byte() % 32; passes > 0; --passes) {
        m_broker.answerEverything();
        runEvents();
    }
}

void ClientExerciser::step()
{
    ++m_steps;
    const quint8 choice = m_script.byte();
    if (choice < 90)
        actOnce();
    else if (choice < 190)
        m_broker.act();
    else
        runEvents();
    takeViolations();
}

void ClientExerciser::runEvents()
{
    QCoreApplication::processEvents();
    if (m_depth == 0)
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
}

void ClientExerciser::actOnce()
{
    const Action &action = m_script.anyOf(actions());
    m_action = action.name;
    qCDebug(lcExerciser).noquote() << QString(m_depth * 2, u' ') + QLatin1StringView(action.name);
    (this->*action.run)();
}

// Afterwards any object may have been deleted.
void ClientExerciser::actInSlot(const QByteArray &signal)
{
    constexpr int MaximumDepth = 4;
    m_signal = signal;
    qCDebug(lcExerciser).noquote() << QString(m_depth * 2, u' ') + QLatin1StringView(signal);
    if (!m_actsInSlots || m_depth == MaximumDepth || m_script.isEmpty())
        return;
    ++m_depth;
    for (int count = m_script.byte() % 8 - 4; count > 0; --count) // more than half of the slots have no action
        actOnce();
    --m_depth;
}

void ClientExerciser::finish()
{
    m_actsInSlots = false;
    m_action = "the end";
    closeAll();
    m_observer.checkClosed();
    deleteAll();
    m_observer.checkReplies();
    if (m_broker.hasTransports())
        fail(u"a transport is left"_s);
    takeViolations();
}

void ClientExerciser::closeAll()
{
    constexpr int EnoughPasses = 20;
    for (const ClientObserver::ConnectionRecord &record : m_observer.connections) {
        if (record.object)
            make([&] { return record.object->close(); }, "the last close");
    }
    for (int idlePasses = 0; idlePasses < EnoughPasses; ++idlePasses) {
        runEvents();
        if (m_broker.answerEverything())
            idlePasses = 0;
    }
    m_broker.hangUp(); // in case the broker has stopped following the protocol
    for (int passes = 0; passes < EnoughPasses; ++passes)
        runEvents();
    for (const ClientObserver::ConnectionRecord &record : m_observer.connections) {
        if (record.object) // ends calls that wait for another open()
            make([&] { return record.object->close(); }, "the very last close");
    }
    for (int passes = 0; passes < EnoughPasses; ++passes)
        runEvents();
}

void ClientExerciser::deleteAll()
{
    m_actsInSlots = false;
    m_observer.messages.clear();
    const auto deleteObjects = [this](auto &records) {
        for (auto &record : records)
            m_observer.called([&] { delete record.object; });
    };
    if (m_flags & 4) {
        deleteObjects(m_observer.connections);
        runEvents();
    }
    deleteObjects(m_observer.publishers);
    deleteObjects(m_observer.consumers);
    deleteObjects(m_observer.channels);
    deleteObjects(m_observer.connections);
    m_broker.hangUp();
    for (int passes = 0; passes < 5; ++passes)
        runEvents();
}

void ClientExerciser::takeViolations()
{
    for (const QString &violation : m_broker.takeViolations())
        fail(u"the client must not send this: "_s + violation);
}

void ClientExerciser::fail(const QString &what)
{
    if (m_failure.isEmpty())
        m_failure = u"%1, in step %2 (%3, last signal %4, depth %5)"_s.arg(what)
                        .arg(m_steps)
                        .arg(QLatin1StringView(m_action), QLatin1StringView(m_signal))
                        .arg(m_depth);
}

template <typename Call>
void ClientExerciser::make(Call call, const char *name)
{
    m_observer.watch(m_observer.called(call), name);
}

template <typename Record>
Record *ClientExerciser::anyOf(std::deque<Record> &records)
{
    std::vector<Record *> living;
    for (Record &record : records) {
        if (record.object)
            living.push_back(&record);
    }
    return living.empty() ? nullptr : living[m_script.byte() % living.size()];
}

Connection *ClientExerciser::anyConnection()
{
    ClientObserver::ConnectionRecord *record = anyOf(m_observer.connections);
    return record ? record->object.data() : nullptr;
}

Channel *ClientExerciser::anyChannel()
{
    ClientObserver::ChannelRecord *record = anyOf(m_observer.channels);
    return record ? record->object.data() : nullptr;
}

Consumer *ClientExerciser::anyConsumer()
{
    ClientObserver::ConsumerRecord *record = anyOf(m_observer.consumers);
    return record ? record->object.data() : nullptr;
}

Publisher *ClientExerciser::anyPublisher()
{
    ClientObserver::PublisherRecord *record = anyOf(m_observer.publishers);
    return record ? record->object.data() : nullptr;
}

Message ClientExerciser::anyBody()
{
    static constexpr int sizes[] = {0, 3, 3, 500, 9000, 40'000, 200'000};
    Message message(QByteArray(sizes[m_script.byte() % std::size(sizes)], 'b'));
    if (m_script.chance(32))
        message.setPriority(1);
    return message;
}

QString ClientExerciser::anyName()
{
    const QString names[] = {{}, u"q"_s, u"q"_s, u"x"_s, QString(256, u'x')};
    return names[m_script.byte() % std::size(names)];
}

void ClientExerciser::createConnection()
{
    constexpr size_t MaximumConnections = 3;
    if (m_observer.connections.size() == MaximumConnections)
        return;
    auto *connection = new Connection;
    ConnectionPrivate::of(connection)
        ->connector.setTransportFactory([this](const ConnectionParameters &, const Endpoint &, QObject *parent) {
            return m_broker.connect(parent);
        });
    m_observer.watch(connection);
    setParameters();
}

void ClientExerciser::setParameters()
{
    Connection *const connection = anyConnection();
    if (!connection)
        return;
    ConnectionParameters parameters;
    parameters.setHeartbeatInterval(0s);
    parameters.setConnectTimeout(1h);
    parameters.setCloseTimeout(1h);
    parameters.setDispatchBudget(m_flags & 8 ? 1ms : 1h);
    parameters.setWriteBuffer(1000, 60'000, 400'000);
    parameters.setMaximumMessageSize(100'000);
    parameters.setMaximumChannels(m_script.chance(64) ? 3 : 0);
    parameters.setMaximumFrameSize(m_script.chance(64) ? 8192 : 0);
    parameters.setBackpressureMultiplier(m_script.byte() % 4);
    parameters.setRecoveryPolicy(RecoveryPolicy().withEnabled(m_script.chance(192)));
    QList<Endpoint> endpoints;
    for (int count = m_script.byte() % 3; count >= 0; --count)
        endpoints.append({u"127.0.0.1"_s, quint16(5672 + count)});
    parameters.setEndpoints(endpoints);
    m_observer.called([&] { connection->setParameters(parameters); });
}

void ClientExerciser::open()
{
    if (Connection *connection = anyConnection())
        make([&] { return m_script.chance(200) ? connection->open() : connection->whenOpen(); }, "open");
}

void ClientExerciser::reconnectNow()
{
    if (Connection *connection = anyConnection())
        m_observer.called([&] { connection->reconnectNow(); });
}

void ClientExerciser::updateSecret()
{
    if (Connection *connection = anyConnection())
        make([&] { return connection->updateSecret(u"s"_s, anyName()); }, "updateSecret");
}

void ClientExerciser::setCredentials()
{
    Connection *connection = anyConnection();
    if (!connection)
        return;
    if (m_script.chance(64))
        QObject::connect(connection, &Connection::credentialsRequested, connection,
                         [connection] { connection->setCredentials(u"u"_s, u"asked"_s); });
    connection->setCredentials(anyName(), u"s"_s, std::chrono::seconds(1 + m_script.byte()));
}

void ClientExerciser::close()
{
    if (Connection *connection = anyConnection())
        make([&] { return connection->close(); }, "close");
}

void ClientExerciser::abort()
{
    if (Connection *connection = anyConnection())
        m_observer.called([&] { connection->abort(); });
}

void ClientExerciser::deleteConnection()
{
    if (Connection *connection = anyConnection())
        m_observer.called([&] { delete connection; });
}

void ClientExerciser::createChannel()
{
    constexpr size_t MaximumChannels = 24;
    Connection *const connection = anyConnection();
    if (!connection || m_observer.channels.size() >= MaximumChannels)
        return;
    QObject *const parent = m_script.chance(64) ? &m_parent : nullptr;
    Channel *const channel = m_observer.called([&] { return connection->createChannel(parent); });
    m_observer.watch(channel);
    make([&] { return channel->whenOpen(); }, "Channel::whenOpen");
}

void ClientExerciser::reopenChannel()
{
    if (Channel *channel = anyChannel())
        make([&] { return channel->reopen(); }, "reopen");
}

void ClientExerciser::closeChannel()
{
    if (Channel *channel = anyChannel())
        make([&] { return channel->close(); }, "Channel::close");
}

void ClientExerciser::deleteChannel()
{
    if (Channel *channel = anyChannel())
        m_observer.called([&] { delete channel; });
}

void ClientExerciser::callChannel()
{
    Channel *const channel = anyChannel();
    if (!channel)
        return;
    const Test::ChannelArguments arguments{.name = anyName(), .number = m_script.byte()};
    const std::vector<ChannelCall> &calls = channelCalls().others;
    calls[m_script.byte() % calls.size()](*this, channel, arguments);
}

void ClientExerciser::selectMode()
{
    Channel *const channel = anyChannel();
    if (!channel)
        return;
    switch (m_script.byte() % 6) {
    case 0:
        return make([&] { return channel->txSelect(); }, "txSelect");
    case 1:
        return make([&] { return channel->txCommit(); }, "txCommit");
    case 2:
        return make([&] { return channel->txRollback(); }, "txRollback");
    default:
        return make([&] { return channel->confirmSelect(); }, "confirmSelect");
    }
}

void ClientExerciser::get()
{
    Channel *const channel = anyChannel();
    if (!channel)
        return;
    const AckMode mode = m_script.chance(64) ? AckMode::NoAck : AckMode::Manual;
    const Reply<std::optional<GetResult>> reply = m_observer.called([&] { return channel->get(u"q"_s, mode); });
    m_observer.watch(reply, "get");
    reply.then(&m_observer, [this](const Result<std::optional<GetResult>> &result) {
        if (result && *result)
            m_observer.messages += (*result)->message;
    });
}

void ClientExerciser::publish()
{
    ClientObserver::ChannelRecord *const record = anyOf(m_observer.channels);
    if (!record)
        return;
    Channel *const channel = record->object;
    const Message message = anyBody();
    const QString exchange = anyName();
    const bool needsOutcome = channel->mode() == Channel::Mode::Confirm;
    quint64 sequence = 0;
    if (m_script.chance(64)) {
        const Reply<void> reply =
            m_observer.called([&] { return channel->publishWithReply(exchange, u"k"_s, message); });
        m_observer.watch(reply, "publishWithReply");
        sequence = reply.isFinished() ? 0 : record->lastPublished + 1;
    } else {
        const auto flags = m_script.chance(64) ? Channel::PublishFlag::Mandatory : Channel::PublishFlags();
        sequence = m_observer.called([&] { return channel->publish(exchange, u"k"_s, message, flags); });
    }
    if (sequence != 0)
        m_observer.notePublished(*record, sequence, needsOutcome);
}

void ClientExerciser::publishMany()
{
    for (int i = 0; i < 8; ++i)
        publish();
}

void ClientExerciser::consume()
{
    constexpr size_t MaximumConsumers = 32;
    Channel *const channel = anyChannel();
    if (!channel || m_observer.consumers.size() >= MaximumConsumers)
        return;
    static constexpr AckMode modes[] = {AckMode::Manual, AckMode::Manual, AckMode::AfterDelivery, AckMode::NoAck};
    ConsumeOptions options;
    options.consumerTag = m_script.chance(200) ? u"tag%1"_s.arg(++m_tags) : u"tag"_s;
    options.ackMode = modes[m_script.byte() % std::size(modes)];
    const QString queue = anyName();
    QObject *const parent = m_script.chance(64) ? &m_parent : nullptr;
    Consumer *const consumer = m_observer.called([&] { return channel->consume(queue, options, parent); });
    m_observer.watch(consumer);
    make([&] { return consumer->whenStarted(); }, "whenStarted");
    const quint8 choice = m_script.byte();
    if (choice < 200)
        m_observer.watchDeliveries(m_observer.consumers.back());
    if (choice > 170)
        m_observer.watchBatches(m_observer.consumers.back());
}

void ClientExerciser::cancelConsumer()
{
    if (Consumer *consumer = anyConsumer())
        make([&] { return m_script.chance(128) ? consumer->cancel() : consumer->drain(); }, "cancel");
}

void ClientExerciser::deleteConsumer()
{
    if (Consumer *consumer = anyConsumer())
        m_observer.called([&] { delete consumer; });
}

void ClientExerciser::reconnectSlots()
{
    ClientObserver::ConsumerRecord *const record = anyOf(m_observer.consumers);
    if (!record)
        return;
    QObject::disconnect(record->object, &Consumer::delivered, &m_observer, nullptr);
    if (m_script.chance(170))
        m_observer.called([&] { m_observer.watchDeliveries(*record); });
}

void ClientExerciser::settle()
{
    if (m_observer.messages.isEmpty())
        return;
    const qsizetype at = m_script.byte() % m_observer.messages.size();
    const Message message = m_script.chance(230) ? m_observer.messages.takeAt(at) : m_observer.messages.at(at);
    if (m_script.chance(170))
        m_observer.called([&] { message.ack(); });
    else
        m_observer.called([&] { message.nack(m_script.chance(128) ? Requeue::Yes : Requeue::No); });
}

void ClientExerciser::settleByChannel()
{
    Channel *const channel = anyChannel();
    if (!channel || m_observer.messages.isEmpty())
        return;
    const Message message = m_observer.messages.at(m_script.byte() % m_observer.messages.size());
    const std::vector<ChannelCall> &calls = channelCalls().settling;
    calls[m_script.byte() % calls.size()](*this, channel, {.message = message});
}

void ClientExerciser::forgetMessages()
{
    m_observer.messages.clear();
}

void ClientExerciser::createPublisher()
{
    constexpr size_t MaximumPublishers = 4;
    Connection *const connection = anyConnection();
    if (!connection || m_observer.publishers.size() >= MaximumPublishers)
        return;
    auto *const publisher =
        m_observer.called([&] { return new Publisher(connection, m_script.chance(64) ? &m_parent : nullptr); });
    publisher->setConfirmWindow(1 + m_script.byte() % 4);
    publisher->setOutboxLimit(m_script.chance(64) ? 1000 : 1'000'000);
    publisher->setLossPolicy(m_script.chance(128) ? Publisher::LossPolicy::Republish : Publisher::LossPolicy::Report);
    m_observer.watch(publisher);
}

void ClientExerciser::publishByPublisher()
{
    ClientObserver::PublisherRecord *const record = anyOf(m_observer.publishers);
    if (!record)
        return;
    Publisher *const publisher = record->object;
    const Message message = anyBody();
    const quint64 id = m_observer.called([&] { return publisher->publish(u"x"_s, u"k"_s, message); });
    if (id != 0 && !record->outstanding.insert(id).second)
        fail(u"the number of message %1 of a publisher is not new"_s.arg(id));
}

void ClientExerciser::changePublisher()
{
    Publisher *const publisher = anyPublisher();
    if (!publisher)
        return;
    if (m_script.chance(128))
        m_observer.called([&] { publisher->setPaused(!publisher->isPaused()); });
    else
        m_observer.called([&] { publisher->setConfirmWindow(1 + m_script.byte() % 8); });
}

void ClientExerciser::deletePublisher()
{
    if (Publisher *publisher = anyPublisher())
        m_observer.called([&] { delete publisher; });
}

void ClientExerciser::runNestedLoop()
{
    if (m_script.chance(128))
        m_broker.act();
    if (m_flags & 8 && m_script.chance(32))
        QThread::msleep(2); // uses up the time for deliveries
    QCoreApplication::processEvents();
}
