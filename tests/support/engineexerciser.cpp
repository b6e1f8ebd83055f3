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
    m_engine.configure(m_settings);
    m_observer.responseRequested = [this] { respond(); };
    if (m_flags & 4) {
        m_observer.afterEvent = [this] {
            if (!m_script.isEmpty())
                act();
        };
    }
}

Engine::Settings EngineExerciser::settings(quint8 flags)
{
    static constexpr quint32 frameMaxes[] = {4096, 8192, 131072, 0};
    Engine::Settings settings = Script::defaultSettings();
    settings.login.mechanisms.insert(settings.login.mechanisms.begin(), {.name = "OWN", .isFromApplication = true});
    settings.heartbeatSeconds = flags & 8 ? 10 : 0;
    settings.frameMax = frameMaxes[flags >> 4 & 3];
    settings.channelMax = flags & 64 ? 3 : 0;
    settings.replyTimeout = std::chrono::seconds(flags & 128 ? 3 : 0);
    settings.maximumMessageSize = 100'000;
    settings.lowWatermark = 1000;
    settings.highWatermark = 60'000;
    settings.bufferLimit = 400'000;
    settings.recovers = !(flags & 2);
    settings.holdsChannels = settings.recovers && flags & 16;
    return settings;
}

EngineExerciser::~EngineExerciser()
{
    for (const auto &channel : m_observer.channels) {
        if (channel->engine)
            channel->engine->release();
    }
}

const std::vector<EngineExerciser::Operation> &EngineExerciser::operations()
{
    using E = EngineExerciser;
    static const std::vector<Operation> all = {
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
        {"releaseChannels", 4, &E::releaseChannels},
        {"close", 1, &E::close},
        {"abort", 1, &E::abort},
    };
    return all;
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
    for (const Operation &operation : operations())
        names += QLatin1StringView(operation.name);
    for (const TopologyCall &call : topologyCalls())
        names += QLatin1StringView(call.name);
    return names;
}

QString EngineExerciser::run()
{
    if (m_begin == Begin::Open)
        m_peer.handshake(3);
    while (!m_observer.hasFailed() && !m_script.isEmpty())
        step();
    if (!m_observer.hasFailed())
        finish();
    return m_observer.failure();
}

void EngineExerciser::step()
{
    m_observer.nextStep();
    if (m_script.chance(100))
        act();
    else
        m_peer.act();
    m_observer.drain();
    m_peer.write();
    m_observer.check();
}

void EngineExerciser::act()
{
    const Operation &operation = m_script.anyOf(operations());
    m_observer.setOperation(operation.name);
    (this->*operation.run)();
}

void EngineExerciser::respond()
{
    const QByteArray response(m_script.chance(32) ? 9000 : 9, 'r');
    const Error error =
        m_script.chance(16) ? m_engine.handshake().respond(std::nullopt) : m_engine.handshake().respond(response);
    if (error.isError())
        m_engine.abort(error);
}

// Ends the connection, whatever its state.
void EngineExerciser::finish()
{
    m_observer.setOperation("the end");
    m_observer.afterEvent = nullptr;
    m_engine.close(m_peer.now());
    m_observer.drain();
    m_peer.flush();
    m_peer.passTime(m_settings.closeTimeout);
    if (m_engine.state() != State::Closed && m_engine.state() != State::Idle)
        m_observer.fail(u"the connection did not end"_s);
    m_observer.noteStart();
    m_engine.failAttempt(Error(ErrorKind::Cancelled, u"the end"_s));
    m_observer.drain();
    if (m_observer.awaitsEnd())
        m_observer.fail(u"failAttempt() was not reported"_s);
    m_engine.endWaiting(Error(ErrorKind::Cancelled, u"the end"_s));
    m_observer.drain();
    m_observer.checkAllEnded();
    if (m_engine.flow().queuedBytes() != 0)
        m_observer.fail(u"%1 bytes are still queued"_s.arg(m_engine.flow().queuedBytes()));
}

EngineExerciser::Channel *EngineExerciser::anyChannel()
{
    std::vector<Channel *> usable;
    for (const auto &channel : m_observer.channels) {
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

void EngineExerciser::updateSecret()
{
    m_observer.note(m_engine.ownCalls().updateSecret(QByteArray(m_script.chance(16) ? 9000 : 9, 's'), anyName()));
}

void EngineExerciser::releaseChannels()
{
    m_engine.gate().release();
}

void EngineExerciser::createChannel()
{
    if (m_observer.channels.size() >= 24)
        return;
    auto channel = std::make_unique<Channel>();
    const quint8 number = m_script.byte();
    channel->engine =
        number < 64 ? m_engine.createChannel(channel.get(), number) : m_engine.createChannel(channel.get());
    if (!channel->engine)
        return;
    m_observer.channels.push_back(std::move(channel));
    m_observer.note(m_observer.channels.back()->engine->open());
}

void EngineExerciser::openChannel()
{
    if (Channel *channel = anyChannel())
        m_observer.note(channel->engine->open());
}

void EngineExerciser::closeChannel()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    m_observer.note(channel->engine->close());
    m_observer.noteCancels(*channel);
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
        m_observer.note(m_script.anyOf(topologyCalls()).make(*this, channel->engine->topology()));
}

void EngineExerciser::setPrefetch()
{
    if (Channel *channel = anyChannel())
        m_observer.note(channel->engine->subscriptions().setPrefetch(m_script.byte(), m_script.chance(64)));
}

void EngineExerciser::get()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const bool noAck = m_script.chance(64);
    const Result<Engine::CallId> call = channel->engine->get(u"q"_s, noAck);
    if (noAck)
        m_observer.note(call);
    else
        m_observer.noteGet(*channel, call);
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
    m_observer.note(consumer->entry->startCall);
    channel->consumers.push_back(std::move(consumer));
}

void EngineExerciser::cancel()
{
    Consumer *consumer = anyConsumer();
    if (!consumer)
        return;
    consumer->isCancelled = true;
    m_observer.note(consumer->channel->engine->subscriptions().cancel(*consumer->entry));
}

void EngineExerciser::deleteConsumer()
{
    Consumer *consumer = anyConsumer();
    if (!consumer)
        return;
    consumer->entry->client = nullptr;
    consumer->isCancelled = true;
    m_observer.note(consumer->channel->engine->subscriptions().cancel(*consumer->entry));
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
    m_observer.notePublished(
        *channel, channel->engine->publish(anyName(), anyName(), properties, body, m_script.chance(64)), confirms);
}

quint64 EngineExerciser::anyTag(const Channel &channel)
{
    const quint8 choice = m_script.byte();
    if (channel.openTags.empty() || choice >= 250)
        return choice;
    return *std::next(channel.openTags.begin(), qsizetype(choice % channel.openTags.size()));
}

void EngineExerciser::ack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        m_observer.noteSettled(*channel, tag, channel->engine->deliveries().ack(tag));
        if (channel->engine->deliveries().ack(tag).count > 0)
            m_observer.fail(u"delivery %1 was acked twice"_s.arg(tag));
    }
}

void EngineExerciser::nack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        m_observer.noteSettled(*channel, tag, channel->engine->deliveries().nack(tag, m_script.chance(128)));
        if (channel->engine->deliveries().isUnsettled(tag))
            m_observer.fail(u"delivery %1 is open after a nack"_s.arg(tag));
    }
}

void EngineExerciser::ackUpTo()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const quint64 tag = anyTag(*channel);
    const bool wasOpen = channel->engine->deliveries().isUnsettled(tag);
    m_observer.noteSettledUpTo(*channel, tag, wasOpen, channel->engine->deliveries().ackUpTo(tag));
}

void EngineExerciser::nackUpTo()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const quint64 tag = anyTag(*channel);
    const bool wasOpen = channel->engine->deliveries().isUnsettled(tag);
    m_observer.noteSettledUpTo(*channel, tag, wasOpen,
                               channel->engine->deliveries().nackUpTo(tag, m_script.chance(128)));
}

void EngineExerciser::confirmSelect()
{
    if (Channel *channel = anyChannel())
        m_observer.note(channel->engine->confirmSelect());
}

void EngineExerciser::txSelect()
{
    if (Channel *channel = anyChannel())
        m_observer.note(channel->engine->txSelect());
}

void EngineExerciser::txCommit()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const Result<Engine::CallId> call = channel->engine->txCommit();
    if (m_settings.recovers)
        m_observer.noteUnsure(*channel, call); // may be rolled back after a loss
    else
        m_observer.note(call);
}

void EngineExerciser::txRollback()
{
    if (Channel *channel = anyChannel())
        m_observer.noteUnsure(*channel, channel->engine->txRollback());
}

void EngineExerciser::redeliverUnacked()
{
    if (Channel *channel = anyChannel())
        m_observer.noteUnsure(*channel, channel->engine->redeliverUnacked());
}

void EngineExerciser::requestAccess()
{
    if (Channel *channel = anyChannel())
        m_observer.note(channel->engine->requestAccess(u"/data"_s, {}));
}

void EngineExerciser::setConfirmWindow()
{
    if (Channel *channel = anyChannel())
        channel->engine->publishing().setConfirmWindow(m_script.byte() % 4);
}

void EngineExerciser::close()
{
    m_engine.close(m_peer.now());
    for (const auto &channel : m_observer.channels)
        m_observer.noteCancels(*channel);
}

void EngineExerciser::abort()
{
    m_engine.abort();
}
