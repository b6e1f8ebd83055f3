// SPDX-License-Identifier: MIT
#include "support/engineexerciser.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;

// --- the script ------------------------------------------------------------------------------------------------------

quint8 EngineExerciser::Bytes::byte()
{
    if (m_left.isEmpty())
        return 0;
    const auto value = quint8(m_left.front());
    m_left = m_left.sliced(1);
    return value;
}

quint32 EngineExerciser::Bytes::number()
{
    const quint32 high = byte();
    return high << 8 | byte();
}

QByteArray EngineExerciser::Bytes::take(qsizetype size)
{
    const QByteArrayView taken = m_left.first(std::min(size, m_left.size()));
    m_left = m_left.sliced(taken.size());
    return taken.toByteArray();
}

EngineExerciser::EngineExerciser(QByteArrayView script, Begin begin)
    : m_script(script)
    , m_begin(begin)
{
    const quint8 flags = m_script.byte();
    m_hasFaults = flags & 3;
    m_interrupts = flags & 4;
    m_settings = Script::defaultSettings();
    m_settings.heartbeatSeconds = flags & 8 ? 10 : 0;
    static constexpr quint32 frameMaxes[] = {4096, 8192, 131072, 0};
    m_settings.frameMax = frameMaxes[flags >> 4 & 3];
    m_settings.channelMax = flags & 64 ? 3 : 0;
    m_settings.rpcTimeout = std::chrono::seconds(flags & 128 ? 3 : 0);
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
        {"declareOrDelete", 5, &E::declareOrDelete},
        {"bind", 3, &E::bind},
        {"setPrefetch", 2, &E::setPrefetch},
        {"get", 5, &E::get},
        {"consume", 9, &E::consume},
        {"cancel", 4, &E::cancel},
        {"deleteConsumer", 3, &E::deleteConsumer},
        {"publish", 10, &E::publish},
        {"ack", 8, &E::ack},
        {"nack", 5, &E::nack},
        {"settleUpTo", 4, &E::settleUpTo},
        {"select", 4, &E::select},
        {"endTransaction", 3, &E::endTransaction},
        {"recover", 2, &E::recover},
        {"setConfirmWindow", 2, &E::setConfirmWindow},
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

void EngineExerciser::runOne(const std::vector<Operation> &operations)
{
    int total = 0;
    for (const Operation &operation : operations)
        total += operation.weight;
    int choice = m_script.byte() * total / 256;
    for (const Operation &operation : operations) {
        choice -= operation.weight;
        if (choice < 0) {
            m_operation = operation.name;
            return (this->*operation.run)();
        }
    }
}

// However it went on so far, it comes to an end.
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
    m_isStarted = true; // what was called since waits for a start, and is told that there is none
    m_isTold = false;
    m_engine.refuse(Error(ErrorKind::Cancelled, u"the end"_s));
    drain();
    if (!m_isTold)
        fail(u"refuse() was not told"_s);
    for (const auto &channel : m_channels) {
        if (channel->engine && channel->engine->state() != Engine::ChannelEngine::State::Closed)
            fail(u"channel %1 did not end"_s.arg(channel->engine->number()));
        if (channel->engine && channel->unconfirmed() > 0)
            fail(u"%1 messages of channel %2 did not end"_s.arg(channel->unconfirmed()).arg(channel->engine->number()));
    }
    if (!m_openCalls.empty())
        fail(u"call %1 did not end"_s.arg(*m_openCalls.begin()));
    if (m_engine.queuedBytes() != 0)
        fail(u"%1 bytes wait for nobody"_s.arg(m_engine.queuedBytes()));
    check();
}

void EngineExerciser::fail(const QString &what)
{
    if (m_failure.isEmpty())
        m_failure = u"%1, in step %2 (%3)"_s.arg(what).arg(m_steps).arg(QLatin1StringView(m_operation));
}

// --- the application -------------------------------------------------------------------------------------------------

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
    if (!channel || !channel->engine->takesCalls())
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

void EngineExerciser::createChannel()
{
    if (m_channels.size() >= 24)
        return;
    auto channel = std::make_unique<Channel>();
    const quint8 number = m_script.byte();
    channel->engine =
        number < 64 ? m_engine.createChannel(number, channel.get()) : m_engine.createChannel(channel.get());
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
    for (const auto &consumer : channel->consumers) { // close() cancels them
        if (consumer->entry->cancelCall && !consumer->isCancelled) {
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
        consumer->entry->context = nullptr;
        consumer->isEnded = true;
    }
    channel->engine->release();
    channel->engine.reset();
}

void EngineExerciser::declareOrDelete()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    Engine::ChannelEngine &engine = *channel->engine;
    const QString name = anyName();
    switch (m_script.byte() % 8) {
    case 0:
        return note(engine.deleteQueue(name, false, false));
    case 1:
        return note(engine.purgeQueue(name));
    case 2:
        return note(engine.declareExchange(name, u"direct"_s, {.arguments = anyTable()}, false));
    case 3:
        return note(engine.deleteExchange(name, true));
    default:
        return note(engine.declareQueue(name, {.arguments = anyTable()}, m_script.chance(64)));
    }
}

void EngineExerciser::bind()
{
    if (Channel *channel = anyChannel()) {
        const bool isUnbind = m_script.chance(64);
        const QString queue = anyName(), exchange = anyName(), key = anyName();
        note(isUnbind ? channel->engine->unbindQueue(queue, exchange, key, anyTable())
                      : channel->engine->bindQueue(queue, exchange, key, anyTable()));
    }
}

void EngineExerciser::setPrefetch()
{
    if (Channel *channel = anyChannel())
        note(channel->engine->setPrefetch(m_script.byte(), m_script.chance(64)));
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
    const auto entry = channel->engine->consume(u"q"_s, options, consumer.get());
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
    note(consumer->channel->engine->cancel(*consumer->entry));
}

void EngineExerciser::deleteConsumer()
{
    Consumer *consumer = anyConsumer();
    if (!consumer)
        return;
    consumer->entry->context = nullptr;
    consumer->isCancelled = true;
    note(consumer->channel->engine->cancel(*consumer->entry));
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
    const Result<quint64> sequence =
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

void EngineExerciser::noteSettled(Channel &channel, quint64 tag, Engine::ChannelEngine::Settled settled)
{
    if (channel.unsure)
        return;
    const bool wasOpen = channel.openTags.erase(tag) > 0;
    if (settled.ok && !wasOpen)
        fail(u"delivery %1 was settled that was not open"_s.arg(tag));
    if (settled.consumerContext && --static_cast<Consumer *>(settled.consumerContext)->unacked < 0)
        fail(u"delivery %1 was settled for a consumer that had none"_s.arg(tag));
}

void EngineExerciser::ack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        noteSettled(*channel, tag, channel->engine->ack(tag));
        if (channel->engine->ack(tag).ok)
            fail(u"delivery %1 was acked twice"_s.arg(tag));
    }
}

void EngineExerciser::nack()
{
    if (Channel *channel = anyChannel()) {
        const quint64 tag = anyTag(*channel);
        noteSettled(*channel, tag, channel->engine->nack(tag, m_script.chance(128)));
        if (channel->engine->isUnsettled(tag))
            fail(u"delivery %1 is open after a nack"_s.arg(tag));
    }
}

void EngineExerciser::settleUpTo()
{
    Channel *channel = anyChannel();
    if (!channel)
        return;
    const quint64 tag = anyTag(*channel);
    const bool isOpen = channel->engine->isUnsettled(tag);
    const auto all =
        m_script.chance(128) ? channel->engine->ackUpTo(tag) : channel->engine->nackUpTo(tag, m_script.chance(128));
    if (channel->unsure)
        return;
    const auto end = channel->openTags.upper_bound(tag);
    if (all.size() != (isOpen ? size_t(std::distance(channel->openTags.begin(), end)) : 0))
        fail(u"%1 deliveries were settled up to %2"_s.arg(all.size()).arg(tag));
    for (const auto &settled : all)
        noteSettled(*channel, *channel->openTags.begin(), settled);
}

void EngineExerciser::select()
{
    if (Channel *channel = anyChannel())
        note(m_script.chance(128) ? channel->engine->confirmSelect() : channel->engine->txSelect());
}

void EngineExerciser::endTransaction()
{
    Channel *channel = anyChannel();
    if (channel && m_script.chance(128))
        note(channel->engine->txCommit());
    else if (channel)
        noteUnsure(*channel, channel->engine->txRollback());
}

void EngineExerciser::recover()
{
    if (Channel *channel = anyChannel())
        noteUnsure(*channel, channel->engine->redeliverUnacked());
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
        channel->engine->setConfirmWindow(m_script.byte() % 4);
}

void EngineExerciser::close()
{
    m_engine.close(m_now);
    for (const auto &channel : m_channels) {
        for (const auto &consumer : channel->consumers) {
            if (consumer->entry->cancelCall && !consumer->isCancelled) {
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

// --- what the engine tells -------------------------------------------------------------------------------------------

void EngineExerciser::drain()
{
    while (auto event = m_engineEvents.next(m_engine)) {
        if (!m_failure.isEmpty())
            return;
        ++m_told;
        std::visit([this](const auto &alternative) { on(alternative); }, *event);
        if (m_interrupts && !m_script.isEmpty())
            runOne(applicationOperations()); // in a slot
    }
}

void EngineExerciser::check()
{
    if (m_engine.queuedBytes() < 0)
        fail(u"%1 bytes wait"_s.arg(m_engine.queuedBytes()));
    if (m_isStarted && !m_engine.hasInput() && (engineState() == State::Closed) != m_isTold)
        fail(u"the end was not told"_s);
    for (const auto &channel : m_channels) {
        using ChannelState = Engine::ChannelEngine::State;
        if (channel->engine && channel->engine->state() != ChannelState::Closed &&
            m_engine.channel(channel->engine->number()) != channel->engine.get())
            fail(u"channel %1 has lost its number"_s.arg(channel->engine->number()));
        if (channel->engine && size_t(channel->engine->unconfirmed()) != channel->unconfirmed())
            fail(u"%1 messages are unconfirmed, %2 are counted"_s.arg(channel->unconfirmed()).arg(channel->engine->unconfirmed()));
        if (channel->engine && channel->engine->isConfirmWindowFull() != channel->isWindowFull)
            fail(u"the window of channel %1 is not as it was told"_s.arg(channel->engine->number()));
        for (const auto &consumer : channel->consumers) {
            const Engine::ConsumerEntry &entry = *consumer->entry;
            if (entry.unacked < 0 || entry.returned < 0 || entry.lost < 0)
                fail(u"negative counts of consumer %1"_s.arg(QString::fromUtf8(entry.tag)));
            if (entry.context && !channel->unsure && entry.unacked != consumer->unacked)
                fail(u"%1 deliveries are unsettled, %2 are counted"_s.arg(consumer->unacked).arg(entry.unacked));
        }
    }
}

EngineExerciser::Channel *EngineExerciser::channelOf(const std::shared_ptr<Engine::ChannelEngine> &engine)
{
    auto *channel = static_cast<Channel *>(engine->context);
    if (channel && channel->engine != engine)
        fail(u"the context of a channel is another one's"_s);
    return channel;
}

void EngineExerciser::on(const Engine::Delivered &event)
{
    auto *consumer = static_cast<Consumer *>(event.consumer->context);
    if (!consumer || consumer->isCancelled || consumer->isEnded)
        return fail(u"delivery %1 has no consumer any more"_s.arg(event.message.deliveryTag));
    if (event.message.body.size() > m_settings.maximumMessageSize)
        fail(u"a message of %1 bytes was delivered"_s.arg(event.message.body.size()));
    if (consumer->entry->noAck)
        return;
    ++consumer->unacked;
    noteDelivered(*consumer->channel, event.message.deliveryTag);
}

void EngineExerciser::noteDelivered(Channel &channel, quint64 tag)
{
    if (std::exchange(channel.incarnation, channel.engine->incarnation()) != channel.engine->incarnation()) {
        channel.lastTag = 0;
        channel.tags.clear();
    }
    channel.tags.insert(tag);
    if (tag <= std::exchange(channel.lastTag, tag))
        fail(u"delivery %1 is not larger than the one before"_s.arg(tag));
    if (channel.engine->isUnsettled(tag))
        channel.openTags.insert(tag);
    else if (channel.engine->state() != Engine::ChannelEngine::State::Closing && !channel.unsure) // afterwards the broker takes it back
        fail(u"delivery %1 is settled before it is told"_s.arg(tag));
}

void EngineExerciser::on(const Engine::ReplyArrived &event)
{
    if (!m_endedCalls.insert(event.call).second)
        return fail(u"call %1 ended twice"_s.arg(event.call));
    m_openCalls.erase(event.call);
    const auto *got = std::get_if<Engine::GotMessage>(&event.value);
    const auto get = m_gets.find(event.call);
    if (got && get != m_gets.end() && get->second->engine)
        noteDelivered(*get->second, got->message.deliveryTag);
    const auto unsure = m_unsure.find(event.call);
    if (unsure == m_unsure.end() || --unsure->second->unsure > 0 || !unsure->second->engine)
        return;
    Channel &channel = *unsure->second;
    channel.openTags.clear();
    std::copy_if(channel.tags.begin(), channel.tags.end(), std::inserter(channel.openTags, channel.openTags.end()),
                 [&](quint64 tag) { return channel.engine->isUnsettled(tag); });
    for (const auto &consumer : channel.consumers)
        consumer->unacked = consumer->entry->unacked;
}

void EngineExerciser::on(const Engine::Opened &)
{
    if (std::exchange(m_isOpened, true) || m_isTold)
        fail(u"opened twice, or after the end"_s);
}

void EngineExerciser::on(const Engine::ConnectionClosed &)
{
    if (!m_isStarted || std::exchange(m_isTold, true))
        fail(u"the end was told twice"_s);
}

void EngineExerciser::on(const Engine::BlockedChanged &event)
{
    if (std::exchange(m_isBlocked, event.blocked) == event.blocked)
        fail(u"blocked or unblocked twice"_s);
}

void EngineExerciser::on(const Engine::WritableChanged &event)
{
    if (std::exchange(m_isWritable, event.writable) == event.writable)
        fail(u"writable or not, twice"_s);
}

void EngineExerciser::on(const Engine::ChannelOpened &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::ChannelClosed &event)
{
    Channel *channel = channelOf(event.channel);
    if (!channel)
        return;
    channel->openTags.clear();
    channel->isWindowFull = false;
    for (const auto &consumer : channel->consumers)
        consumer->isEnded = consumer->isEnded || consumer->entry->state == Engine::ConsumerEntry::State::Gone;
}

void EngineExerciser::on(const Engine::FlowChanged &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::Returned &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::PublishConfirmed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, true);
}

void EngineExerciser::on(const Engine::PublishFailed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, false);
}

void EngineExerciser::publishesEnded(Channel &channel, quint64 first, quint64 last, bool confirmed)
{
    if (first == 0 || last < first || last > channel.lastPublished)
        return fail(u"messages %1 to %2 ended, with %3 published"_s.arg(first).arg(last).arg(channel.lastPublished));
    for (quint64 sequence = first; sequence <= last; ++sequence) {
        const auto published = channel.published.find(sequence);
        if (published == channel.published.end())
            return fail(u"message %1 ended twice"_s.arg(sequence));
        if (confirmed && !published->second)
            fail(u"message %1 was confirmed, but not published in confirm mode"_s.arg(sequence));
        channel.published.erase(published);
    }
}

void EngineExerciser::on(const Engine::ConfirmWindowChanged &event)
{
    Channel *channel = channelOf(event.channel);
    if (channel && std::exchange(channel->isWindowFull, event.full) == event.full)
        fail(u"the window is full or not, twice"_s);
}

void EngineExerciser::on(const Engine::ConsumerCancelled &event)
{
    if (auto *consumer = static_cast<Consumer *>(event.consumer->context)) {
        if (std::exchange(consumer->isEnded, true))
            fail(u"consumer %1 ended twice"_s.arg(QString::fromUtf8(event.consumer->tag)));
    }
}
