// SPDX-License-Identifier: MIT
#include "support/engineexerciser.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;

EngineExerciser::EngineExerciser(QByteArrayView script, Begin begin)
    : m_script(script)
    , m_begin(begin)
{
    const quint8 flags = m_script.byte();
    m_hasFaults = flags & 3;
    m_interrupts = flags & 4;
    m_settings = Script::defaultSettings();
    m_settings.login.mechanisms.insert(m_settings.login.mechanisms.begin(), {.name = "OWN", .isClients = true});
    m_settings.heartbeatSeconds = flags & 8 ? 10 : 0;
    static constexpr quint32 frameMaxes[] = {4096, 8192, 131072, 0};
    m_settings.frameMax = frameMaxes[flags >> 4 & 3];
    m_settings.channelMax = flags & 64 ? 3 : 0;
    m_settings.replyTimeout = std::chrono::seconds(flags & 128 ? 3 : 0);
    m_settings.maximumMessageSize = 100'000;
    m_settings.lowWatermark = 1000;
    m_settings.highWatermark = 60'000;
    m_settings.bufferLimit = 400'000;
    m_engine.configure(m_settings);
}

EngineExerciser::~EngineExerciser()
{
    for (const auto &channel : m_channels) {
        if (channel->engine)
            channel->engine->release();
    }
}

const std::vector<EngineExerciser::Operation> &EngineExerciser::applicationOperations()
{
    using E = EngineExerciser;
    static const std::vector<Operation> operations = {
        {"createChannel", 6, &E::createChannel},
        {"openChannel", 4, &E::openChannel},
        {"closeChannel", 2, &E::closeChannel},
        {"releaseChannel", 2, &E::releaseChannel},
        {"callTopology", 8, &E::callTopology},
        {"setPrefetch", 2, &E::setPrefetch},
        {"get", 5, &E::get},
        {"consume", 9, &E::consume},
        {"cancel", 4, &E::cancel},
        {"deleteConsumer", 3, &E::deleteConsumer},
        {"publish", 10, &E::publish},
        {"ack", 8, &E::ack},
        {"nack", 5, &E::nack},
        {"ackUpTo", 2, &E::ackUpTo},
        {"nackUpTo", 2, &E::nackUpTo},
        {"confirmSelect", 2, &E::confirmSelect},
        {"txSelect", 2, &E::txSelect},
        {"txCommit", 2, &E::txCommit},
        {"txRollback", 1, &E::txRollback},
        {"redeliverUnacked", 2, &E::redeliverUnacked},
        {"requestAccess", 1, &E::requestAccess},
        {"setConfirmWindow", 2, &E::setConfirmWindow},
        {"updateSecret", 1, &E::updateSecret},
        {"close", 1, &E::close},
        {"abort", 1, &E::abort},
    };
    return operations;
}

const std::vector<EngineExerciser::Operation> &EngineExerciser::otherOperations()
{
    using E = EngineExerciser;
    static const std::vector<Operation> operations = {
        {"start", 4, &E::start},
        {"loseTransport", 1, &E::loseTransport},
        {"tick", 6, &E::tick},
        {"writeSome", 4, &E::writeSome},
        {"stall", 3, &E::stall},
        {"releaseMemory", 2, &E::releaseMemory},
        {"answer", 40, &E::answer},
        {"deliver", 20, &E::deliver},
        {"returnMessage", 4, &E::returnMessage},
        {"confirm", 8, &E::confirm},
        {"cancelByBroker", 4, &E::cancelByBroker},
        {"closeByBroker", 3, &E::closeByBroker},
        {"control", 6, &E::control},
        {"sendAnyMethod", 3, &E::sendAnyMethod},
        {"sendAnyContent", 3, &E::sendAnyContent},
        {"sendAnyBytes", 2, &E::sendAnyBytes},
        {"spoil", 2, &E::spoil},
    };
    return operations;
}

const std::vector<EngineExerciser::TopologyCall> &EngineExerciser::topologyCalls()
{
    using Calls = Engine::TopologyCalls;
    using Call = Result<Engine::CallId>;
    static constexpr auto bind = [](EngineExerciser &e, Calls &calls, auto call) -> Call {
        const QString to = e.anyName(), from = e.anyName(), key = e.anyName();
        return (calls.*call)(to, from, key, e.anyTable());
    };
    static const std::vector<TopologyCall> all = {
        {"declareQueue", 4,
         [](EngineExerciser &e, Calls &calls) -> Call {
             return calls.declareQueue(e.anyName(), {.arguments = e.anyTable()}, false);
         }},
        {"inspectQueue", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return calls.declareQueue(e.anyName(), {}, true); }},
        {"deleteQueue", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return calls.deleteQueue(e.anyName(), false, false); }},
        {"purgeQueue", 1, [](EngineExerciser &e, Calls &calls) -> Call { return calls.purgeQueue(e.anyName()); }},
        {"bindQueue", 3, [](EngineExerciser &e, Calls &calls) -> Call { return bind(e, calls, &Calls::bindQueue); }},
        {"unbindQueue", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return bind(e, calls, &Calls::unbindQueue); }},
        {"declareExchange", 1,
         [](EngineExerciser &e, Calls &calls) -> Call {
             return calls.declareExchange(e.anyName(), u"direct"_s, {.arguments = e.anyTable()}, false);
         }},
        {"inspectExchange", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return calls.declareExchange(e.anyName(), {}, {}, true); }},
        {"deleteExchange", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return calls.deleteExchange(e.anyName(), true); }},
        {"bindExchange", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return bind(e, calls, &Calls::bindExchange); }},
        {"unbindExchange", 1,
         [](EngineExerciser &e, Calls &calls) -> Call { return bind(e, calls, &Calls::unbindExchange); }},
    };
    return all;
}

QStringList EngineExerciser::channelCalls()
{
    QStringList names;
    for (const Operation &operation : applicationOperations())
        names += QLatin1StringView(operation.name);
    for (const TopologyCall &call : topologyCalls())
        names += QLatin1StringView(call.name);
    return names;
}

QString EngineExerciser::run()
{
    if (m_begin == Begin::Open)
        handshake();
    while (m_failure.isEmpty() && !m_script.isEmpty())
        step();
    if (m_failure.isEmpty())
        finish();
    return m_failure;
}

void EngineExerciser::step()
{
    ++m_steps;
    runOne(m_script.chance(100) ? applicationOperations() : otherOperations());
    drain();
    if (!m_isStalled) {
        m_engine.prepareOutput(m_now);
        write(std::numeric_limits<qint64>::max());
        drain();
    }
    check();
}

template <typename Weighted>
const Weighted &EngineExerciser::anyOf(const std::vector<Weighted> &choices)
{
    int total = 0;
    for (const Weighted &choice : choices)
        total += choice.weight;
    int at = m_script.byte() * total / 256;
    return *std::find_if(choices.begin(), choices.end(),
                         [&at](const Weighted &choice) { return (at -= choice.weight) < 0; });
}

void EngineExerciser::runOne(const std::vector<Operation> &operations)
{
    const Operation &operation = anyOf(operations);
    m_operation = operation.name;
    (this->*operation.run)();
}

// Ends the connection, whatever its state.
void EngineExerciser::finish()
{
    m_operation = "the end";
    m_interrupts = false;
    m_engine.close(m_now);
    drain();
    m_engine.prepareOutput(m_now);
    write(std::numeric_limits<qint64>::max());
    drain();
    m_now += m_settings.closeTimeout;
    m_engine.tick(m_now);
    drain();
    if (engineState() != State::Closed && engineState() != State::Idle)
        fail(u"the connection did not end"_s);
    m_isStarted = true;
    m_isEndReported = false;
    m_engine.failAttempt(Error(ErrorKind::Cancelled, u"the end"_s));
    drain();
    if (!m_isEndReported)
        fail(u"failAttempt() was not reported"_s);
    m_engine.endWaiting(Error(ErrorKind::Cancelled, u"the end"_s));
    drain();
    for (const auto &channel : m_channels) {
        if (channel->engine && channel->engine->state() != Engine::ChannelEngine::State::Closed)
            fail(u"channel %1 did not end"_s.arg(channel->engine->number()));
        if (channel->engine && channel->unconfirmed() > 0)
            fail(u"%1 messages of channel %2 did not end"_s.arg(channel->unconfirmed()).arg(channel->engine->number()));
    }
    if (!m_openCalls.empty())
        fail(u"call %1 did not end"_s.arg(*m_openCalls.begin()));
    if (m_engine.flow().queuedBytes() != 0)
        fail(u"%1 bytes are still queued"_s.arg(m_engine.flow().queuedBytes()));
    check();
}

void EngineExerciser::fail(const QString &what)
{
    if (m_failure.isEmpty())
        m_failure = u"%1, in step %2 (%3)"_s.arg(what).arg(m_steps).arg(QLatin1StringView(m_operation));
}

EngineExerciser::Channel *EngineExerciser::anyChannel()
{
    std::vector<Channel *> usable;
    for (const auto &channel : m_channels) {
        if (channel->engine)
            usable.push_back(channel.get());
    }
    return usable.empty() ? nullptr : usable[m_script.byte() % usable.size()];
}

EngineExerciser::Consumer *EngineExerciser::anyConsumer()
{
    Channel *channel = anyChannel();
    if (!channel || !channel->engine->acceptsCalls())
        return nullptr;
    std::vector<Consumer *> usable;
    for (const auto &consumer : channel->consumers) {
        if (consumer->entry->cancelCall == 0 && consumer->entry->state <= Engine::ConsumerEntry::State::Active)
            usable.push_back(consumer.get());
    }
    return usable.empty() ? nullptr : usable[m_script.byte() % usable.size()];
}

QString EngineExerciser::anyName()
{
    const QString names[] = {{}, u"q"_s, u"очередь"_s, u"amq.topic"_s, QString(255, u'x'), QString(128, u'é')};
    return names[m_script.byte() % std::size(names)];
}

FieldTable EngineExerciser::anyTable()
{
    switch (m_script.byte() % 16) {
    case 0:
        return {{u"x"_s, qQNaN()}};
    case 1:
        return {{u"x"_s, QString(3000, u'x')}};
    case 2:
        return {{u"x"_s, QString(9000, u'x')}};
    case 3:
        return {{u"x-max-length"_s, 10}};
    default:
        return {};
    }
}

void EngineExerciser::note(const Result<Engine::CallId> &call)
{
    if (!call)
        return;
    if (*call == 0 || m_endedCalls.contains(*call) || !m_openCalls.insert(*call).second)
        fail(u"the number of call %1 is not new"_s.arg(*call));
}

void EngineExerciser::updateSecret()
{
    note(m_engine.ownCalls().updateSecret(QByteArray(m_script.chance(16) ? 9000 : 9, 's'), anyName()));
}

void EngineExerciser::createChannel()
{
    if (m_channels.size() >= 24)
        return;
    auto channel = std::make_unique<Channel>();
    const quint8 number = m_script.byte();
    channel->engine =
        number < 64 ? m_engine.createChannel(channel.get(), number) : m_engine.createChannel(channel.get());
    if (!channel->engine)
        return;
    m_channels.push_back(std::move(channel));
    note(m_channels.back()->engine->open());
}

void EngineExerciser::openChannel()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->open());
}

void EngineExerciser::closeChannel()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    note(channel->engine->close());
    for (const auto &consumer : channel->consumers) { // close() cancels them, unless the engine has done so before
        if (consumer->entry->cancelCall && !consumer->isCancelled && !consumer->isEnded) {
            consumer->isCancelled = true;
            note(consumer->entry->cancelCall);
        }
    }
}

void EngineExerciser::releaseChannel()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    for (const auto &consumer : channel->consumers) {
        consumer->entry->client = nullptr;
        consumer->isEnded = true;
    }
    channel->engine->release();
    channel->engine.reset();
}

void EngineExerciser::callTopology()
{
    if (Channel *channel = anyChannel())
        note(anyOf(topologyCalls()).make(*this, channel->engine->topology()));
}

void EngineExerciser::setPrefetch()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->subscriptions().setPrefetch(m_script.byte(), m_script.chance(64)));
}

void EngineExerciser::get()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const bool noAck = m_script.chance(64);
    const Result<Engine::CallId> call = channel->engine->get(u"q"_s, noAck);
    note(call);
    if (call && !noAck)
        m_gets[*call] = channel;
}

void EngineExerciser::consume()
{
    Channel *channel = anyChannel();
    if (!channel || channel->consumers.size() >= 24)
        return;
    auto consumer = std::make_unique<Consumer>();
    ConsumeOptions options;
    options.consumerTag = m_script.chance(230) ? u"tag%1"_s.arg(++m_tags) : u"tag"_s;
    options.ackMode = m_script.chance(80) ? AckMode::NoAck : AckMode::Manual;
    options.arguments = anyTable();
    if (m_script.chance(80))
        options.prefetch = m_script.byte();
    const auto entry = channel->engine->subscriptions().consume(u"q"_s, options, consumer.get());
    if (!entry)
        return;
    consumer->entry = *entry;
    consumer->channel = channel;
    note(consumer->entry->startCall);
    channel->consumers.push_back(std::move(consumer));
}

void EngineExerciser::cancel()
{
    Consumer *consumer = anyConsumer();
    if (!consumer)
        return;
    consumer->isCancelled = true;
    note(consumer->channel->engine->subscriptions().cancel(*consumer->entry));
}

void EngineExerciser::deleteConsumer()
{
    Consumer *consumer = anyConsumer();
    if (!consumer)
        return;
    consumer->entry->client = nullptr;
    consumer->isCancelled = true;
    note(consumer->channel->engine->subscriptions().cancel(*consumer->entry));
}

void EngineExerciser::publish()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    static constexpr int sizes[] = {0, 1, 500, 4088, 4089, 40'000, 150'000, 400'001};
    const QByteArray body(sizes[m_script.byte() % std::size(sizes)], 'b');
    const QByteArray properties =
        m_script.chance(32) ? QByteArray("\x80\0\xff", 3) + QByteArray(255, 'p') : QByteArray(2, '\0');
    const bool confirms = channel->engine->mode() == Engine::ChannelEngine::Mode::Confirm;
    const Engine::Published sequence =
        channel->engine->publish(anyName(), anyName(), properties, body, m_script.chance(64));
    if (sequence && *sequence != ++channel->lastPublished)
        fail(u"message %1 of channel %2 got the number %3"_s.arg(channel->lastPublished)
                 .arg(channel->engine->number())
                 .arg(*sequence));
    if (sequence)
        channel->published.emplace(*sequence, confirms);
}

quint64 EngineExerciser::anyTag(const Channel &channel)
{
    const quint8 choice = m_script.byte();
    if (channel.openTags.empty() || choice >= 250)
        return choice;
    return *std::next(channel.openTags.begin(), choice % channel.openTags.size());
}

void EngineExerciser::noteSettled(Channel &channel, quint64 tag, Engine::Deliveries::Settled settled)
{
    if (channel.unsure)
        return;
    const bool wasOpen = channel.openTags.erase(tag) > 0;
    if (settled.count > 0 && !wasOpen)
        fail(u"delivery %1 was settled that was not open"_s.arg(tag));
    if (settled.consumer && --static_cast<Consumer *>(settled.consumer)->unacked < 0)
        fail(u"delivery %1 was settled for a consumer that had none"_s.arg(tag));
}

void EngineExerciser::ack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        noteSettled(*channel, tag, channel->engine->deliveries().ack(tag));
        if (channel->engine->deliveries().ack(tag).count > 0)
            fail(u"delivery %1 was acked twice"_s.arg(tag));
    }
}

void EngineExerciser::nack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        noteSettled(*channel, tag, channel->engine->deliveries().nack(tag, m_script.chance(128)));
        if (channel->engine->deliveries().isUnsettled(tag))
            fail(u"delivery %1 is open after a nack"_s.arg(tag));
    }
}

void EngineExerciser::ackUpTo()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const quint64 tag = anyTag(*channel);
    const bool wasOpen = channel->engine->deliveries().isUnsettled(tag);
    noteSettledUpTo(*channel, tag, wasOpen, channel->engine->deliveries().ackUpTo(tag));
}

void EngineExerciser::nackUpTo()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const quint64 tag = anyTag(*channel);
    const bool wasOpen = channel->engine->deliveries().isUnsettled(tag);
    noteSettledUpTo(*channel, tag, wasOpen, channel->engine->deliveries().nackUpTo(tag, m_script.chance(128)));
}

void EngineExerciser::noteSettledUpTo(Channel &channel, quint64 tag, bool wasOpen,
                                      const std::vector<Engine::Deliveries::Settled> &all)
{
    if (channel.unsure)
        return;
    const auto end = channel.openTags.upper_bound(tag);
    if (countOf(all) != (wasOpen ? std::distance(channel.openTags.begin(), end) : 0))
        fail(u"%1 deliveries were settled up to %2"_s.arg(countOf(all)).arg(tag));
    for (const auto &run : all) {
        for (int i = 0; i < run.count && !channel.openTags.empty(); ++i)
            noteSettled(channel, *channel.openTags.begin(), {1, run.consumer});
    }
}

void EngineExerciser::confirmSelect()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->confirmSelect());
}

void EngineExerciser::txSelect()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->txSelect());
}

void EngineExerciser::txCommit()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->txCommit());
}

void EngineExerciser::txRollback()
{
    if (Channel *channel = anyChannel())
        noteUnsure(*channel, channel->engine->txRollback());
}

void EngineExerciser::redeliverUnacked()
{
    if (Channel *channel = anyChannel())
        noteUnsure(*channel, channel->engine->redeliverUnacked());
}

void EngineExerciser::requestAccess()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->requestAccess(u"/data"_s, {}));
}

void EngineExerciser::noteUnsure(Channel &channel, const Result<Engine::CallId> &call)
{
    note(call);
    if (!call)
        return;
    m_unsure[*call] = &channel;
    ++channel.unsure;
}

void EngineExerciser::setConfirmWindow()
{
    if (Channel *channel = anyChannel())
        channel->engine->publishing().setConfirmWindow(m_script.byte() % 4);
}

void EngineExerciser::close()
{
    m_engine.close(m_now);
    for (const auto &channel : m_channels) {
        for (const auto &consumer : channel->consumers) {
            if (consumer->entry->cancelCall && !consumer->isCancelled && !consumer->isEnded) {
                consumer->isCancelled = true;
                note(consumer->entry->cancelCall);
            }
        }
    }
}

void EngineExerciser::abort()
{
    m_engine.abort();
}
