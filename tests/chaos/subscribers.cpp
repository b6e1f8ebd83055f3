// SPDX-License-Identifier: MIT
#include "chaos/subscribers.h"

#include <QtCore/qrandom.h>

#include <algorithm>
#include <array>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

constexpr int QueuesOfAChannel = 10;
constexpr quint16 Prefetch = 5;

const QString sourceExchange = u"chaos.source"_s;
const QString passingExchange = u"chaos.passing"_s;
const QString topicExchange = u"chaos.topic"_s;

} // namespace

Subscribers::Subscribers(Connection *connection, ConnectionWatch *watch, int queuesOfEachKind)
    : m_watch(watch)
    , m_publisher(connection)
{
    watch->watch(m_publisher.channel());
    m_publisher.setExchange(sourceExchange);
    connect(&m_publisher, &Publisher::settled, this, [this](quint64, const Error &error) {
        if (error.isError())
            m_watch->fail("a message was not taken: "_L1 + error.toString());
    });
    connect(connection, &Connection::queueRenamed, this, [this] { ++m_renamed; });

    Channel *channel = connection->createChannel(this);
    watch->watch(channel);
    channel->declareExchange(sourceExchange, ExchangeType::Fanout);
    channel->declareExchange(passingExchange, ExchangeType::Fanout, {.durable = false, .autoDelete = true});
    channel->declareExchange(topicExchange, ExchangeType::Topic);
    channel->bindExchange(passingExchange, sourceExchange);
    channel->bindExchange(topicExchange, passingExchange).then(this, [this, watch, connection, queuesOfEachKind] {
        Channel *shared = nullptr;
        for (int i = 0; i < queuesOfEachKind * KindCount; ++i) {
            if (i % QueuesOfAChannel == 0) {
                shared = connection->createChannel(this);
                watch->watch(shared);
            }
            m_entries.push_back({.kind = Kind(i % KindCount), .channel = shared});
            declare(m_entries.back());
        }
    });
}

QString Subscribers::newName(Kind kind)
{
    static constexpr std::array names{"durable", "transient", "exclusive", "autodelete", "servernamed"};
    return u"chaos.%1.%2"_s.arg(QLatin1StringView(names[size_t(kind)])).arg(++m_names);
}

void Subscribers::declare(Entry &entry)
{
    const QString name = newName(entry.kind);
    entry.key = name;
    QString queue = name;
    switch (entry.kind) {
    case Kind::Durable:
        entry.channel->declareQueue(name);
        break;
    case Kind::Transient:
        entry.channel->declareQueue(name, {.durable = false});
        break;
    case Kind::Exclusive:
        entry.channel->declareQueue(name, {.durable = false, .exclusive = true});
        break;
    case Kind::AutoDelete:
        entry.channel->declareQueue(name, {.autoDelete = true});
        break;
    case Kind::ServerNamed:
        entry.channel->declareTemporaryQueue();
        queue.clear(); // the last one
        break;
    }
    entry.channel->bindQueue(queue, topicExchange, entry.key);
    consume(entry, queue);
}

void Subscribers::consume(Entry &entry, const QString &queue)
{
    entry.consumer = entry.channel->consume(queue, {.prefetch = Prefetch});
    m_watch->watch(entry.consumer);
    connect(entry.consumer, &Consumer::delivered, this, [this, consumer = entry.consumer](const Message &message) {
        const auto receiver = std::find_if(m_entries.begin(), m_entries.end(),
                                           [consumer](const Entry &one) { return one.consumer == consumer; });
        if (receiver != m_entries.end())
            receive(receiver->key, message);
    });
}

void Subscribers::endConsumer(Entry &entry)
{
    m_watch->ignore(entry.consumer);
    entry.consumer->disconnect(this);
    entry.consumer->cancel();
}

bool Subscribers::isActive() const
{
    return !m_entries.empty() && std::all_of(m_entries.begin(), m_entries.end(), [](const Entry &entry) {
        return entry.consumer->state() == Consumer::State::Active;
    });
}

TopologyModel Subscribers::model() const
{
    TopologyModel model;
    model.insert(TopologyModel::exchange(sourceExchange, u"fanout"_s, true, false));
    model.insert(TopologyModel::exchange(passingExchange, u"fanout"_s, false, true));
    model.insert(TopologyModel::exchange(topicExchange, u"topic"_s, true, false));
    model.insert(TopologyModel::binding(sourceExchange, u"exchange"_s, passingExchange, {}));
    model.insert(TopologyModel::binding(passingExchange, u"exchange"_s, topicExchange, {}));
    for (const Entry &entry : m_entries) {
        const QString queue = entry.consumer->queue();
        const bool isTemporary = entry.kind == Kind::ServerNamed;
        model.insert(TopologyModel::queue(queue, entry.kind == Kind::Durable || entry.kind == Kind::AutoDelete,
                                          entry.kind == Kind::AutoDelete || isTemporary,
                                          entry.kind == Kind::Exclusive || isTemporary));
        model.insert(TopologyModel::binding(topicExchange, u"queue"_s, queue, entry.key));
        model.insert(TopologyModel::consumer(queue, entry.consumer->consumerTag(), Prefetch));
    }
    return model;
}

void Subscribers::publishToEach(int round)
{
    m_round = round;
    for (const Entry &entry : m_entries) {
        m_unserved.insert(entry.key);
        Message message(entry.key.toUtf8());
        message.setPersistent(true);
        message.setMessageId(QString::number(round));
        m_publisher.publish(sourceExchange, entry.key, message);
    }
}

void Subscribers::receive(const QString &key, const Message &message)
{
    ++m_received;
    message.ack();
    if (message.messageId().toInt() != m_round)
        return; // the broker has lost its acknowledgement, and its queue may have had another key then
    if (message.routingKey() != key || message.text() != key)
        m_watch->fail(u"the consumer of %1 has received %2"_s.arg(key, message.routingKey()));
    else
        m_unserved.remove(key);
}

Subscribers::Entry &Subscribers::any(Kind kind, QRandomGenerator &random)
{
    return m_entries[size_t(random.bounded(int(m_entries.size()) / KindCount) * KindCount + int(kind))];
}

void Subscribers::change(QRandomGenerator &random)
{
    m_round = -1; // none, until the next messages are published
    Entry &rebound = any(Kind::Durable, random);
    rebound.channel->unbindQueue(rebound.consumer->queue(), topicExchange, rebound.key);
    rebound.key = newName(rebound.kind);
    rebound.channel->bindQueue(rebound.consumer->queue(), topicExchange, rebound.key);

    Entry &deleted = any(Kind::Durable, random);
    endConsumer(deleted);
    deleted.channel->deleteQueue(deleted.consumer->queue());
    declare(deleted);

    Entry &left = any(Kind::AutoDelete, random); // the broker deletes the queue
    endConsumer(left);
    declare(left);

    for (const Kind kind : {Kind::Transient, Kind::Exclusive}) {
        Entry &replaced = any(kind, random);
        const QString queue = replaced.consumer->queue();
        m_watch->ignore(replaced.consumer);
        delete replaced.consumer;
        consume(replaced, queue);
    }
}
