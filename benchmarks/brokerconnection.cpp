// SPDX-License-Identifier: MIT

#include "broker.h"

#include <cerrno>

namespace
{

constexpr std::size_t WriteSize = 128 * 1024;
constexpr std::uint64_t ConfirmAtLeast = 64;
constexpr std::uint16_t HeartbeatSeconds = 60;

} // namespace

Connection::~Connection()
{
    for (const auto &channel : channels) {
        if (channel)
            endConsumers(*channel);
    }
}

bool Connection::receive()
{
    const ssize_t size = skip ? stream->discard(in.data(), std::min(skip, in.size())) // inSize is 0
                              : stream->read(in.data() + inSize, in.size() - inSize);
    if (size <= 0)
        return size < 0 && errno == EAGAIN;
    if (skip) {
        skip -= std::size_t(size);
        return true;
    }
    inSize += std::size_t(size);
    const std::size_t used = parse(in.data(), in.data() + inSize);
    std::copy(in.data() + used, in.data() + inSize, in.data());
    inSize -= used;
    confirm(false);
    return !closing || wantsWrite();
}

// Returns the number of bytes that were processed.
std::size_t Connection::parse(const char *const begin, const char *const end)
{
    const char *at = begin;
    if (!greeted) {
        if (end - at < 8)
            return 0;
        if (std::string_view(at, 8) != Frames::ProtocolHeader) {
            closing = true;
            return 8;
        }
        at += 8;
        greeted = true;
        std::string capabilities;
        for (const std::string_view name : {"publisher_confirms", "basic.nack", "consumer_cancel_notify"}) {
            Frames::appendShort(capabilities, name);
            capabilities += "t\x01";
        }
        std::string properties;
        Frames::appendShort(properties, "capabilities");
        properties += 'F';
        Frames::appendLong(properties, capabilities);
        std::string arguments("\0\x09", 2); // the version
        Frames::appendLong(arguments, properties);
        Frames::appendLong(arguments, "PLAIN");
        Frames::appendLong(arguments, "en_US");
        reply(0, Frames::ConnectionStart, arguments);
    }
    while (std::size_t(end - at) > Frames::HeadSize && !closing) {
        const auto type = Frames::get<std::uint8_t>(at);
        const auto number = Frames::get<std::uint16_t>(at + 1);
        const std::size_t size = Frames::get<std::uint32_t>(at + 3);
        const char *const payload = at + Frames::HeadSize;
        const auto there = std::size_t(end - payload);
        Channel *channel = number < channels.size() ? channels[number].get() : nullptr;
        if (size > Frames::MaximumBody) {
            closeWith(501, "the frame is larger than the negotiated maximum");
            break;
        }
        if (there < size + 1) {
            if (type != Frames::Body || !channel || size > channel->bodyLeft || !channel->target ||
                !channel->target->consumers.empty())
                break;
            onBody(*channel, {payload, size});
            skip = size + 1 - there;
            return std::size_t(end - begin);
        }
        if (payload[size] != Frames::End) {
            closeWith(501, "the frame has no frame-end octet");
            break;
        }
        at = payload + size + 1;
        if (type == Frames::Method) {
            onMethod(number, {payload, size});
        } else if (type == Frames::Header && channel && channel->target && size >= 14) {
            channel->bodyLeft = Frames::get<std::uint64_t>(payload + 4);
            channel->properties.assign(payload + 12, size - 12);
            if (channel->bodyLeft == 0)
                published(*channel);
        } else if (type == Frames::Body && channel && channel->target && size <= channel->bodyLeft) {
            onBody(*channel, {payload, size});
        } else if (type != Frames::Heartbeat) {
            closeWith(505, "unexpected frame");
        }
    }
    return std::size_t(at - begin);
}

void Connection::onBody(Channel &channel, std::string_view part)
{
    channel.bodyLeft -= part.size();
    if (!channel.target->consumers.empty())
        channel.body += part;
    if (channel.bodyLeft == 0)
        published(channel);
}

void Connection::published(Channel &channel)
{
    Queue &queue = *std::exchange(channel.target, nullptr);
    if (queue.supply.isHeld) {
        queue.supply.isHeld = false;
        for (Consumer *consumer : queue.consumers)
            consumer->connection->enlist(consumer);
    } else if (queue.supply.count == 0 && !queue.consumers.empty()) {
        queue.turn = (queue.turn + 1) % queue.consumers.size();
        Consumer &consumer = *queue.consumers[queue.turn];
        consumer.connection->deliver(consumer, channel);
    }
    channel.body.clear();
    if (!channel.confirms)
        return;
    const bool isFirst = channel.published++ == channel.confirmed;
    if (queue.supply.unconfirmed > 0)
        confirmBehind(channel, queue.supply.unconfirmed);
    else if (queue.supply.together > 0)
        confirmTogether(channel, queue.supply.together);
    else if (isFirst)
        unconfirmed.push_back(&channel);
}

// Of each four messages, the first and the third get separate acks, and the second and the fourth share a multiple ack.
void Connection::confirmBehind(const Channel &channel, std::uint64_t behind)
{
    if (channel.published <= behind)
        return;
    const std::uint64_t tag = channel.published - behind;
    if (tag % 4 != 2)
        Frames::appendAck(large ? afterLarge : out, channel.number, tag, tag % 4 == 0);
}

void Connection::confirmTogether(Channel &channel, std::uint64_t count)
{
    if (channel.published - channel.confirmed < count)
        return;
    channel.confirmed = channel.published;
    Frames::appendAck(large ? afterLarge : out, channel.number, channel.confirmed, true);
}

void Connection::confirm(bool all)
{
    std::erase_if(unconfirmed, [&](Channel *channel) {
        if (!all && channel->published - channel->confirmed < ConfirmAtLeast)
            return false;
        confirmTogether(*channel, 1);
        return true;
    });
}

void Connection::onMethod(std::uint16_t number, std::string_view payload)
{
    Frames::Reader arguments(payload);
    const auto method = arguments.number<std::uint32_t>();
    if (number == 0) {
        switch (method) {
        case Frames::ConnectionStartOk: {
            std::string tune;
            Frames::append(tune, std::uint16_t(65535));
            Frames::append(tune, Frames::MaximumSize);
            Frames::append(tune, HeartbeatSeconds);
            return reply(0, Frames::ConnectionTune, tune);
        }
        case Frames::ConnectionTuneOk:
            arguments.number<std::uint16_t>();
            arguments.number<std::uint32_t>();
            heartbeat = arguments.number<std::uint16_t>();
            return;
        case Frames::ConnectionOpen:
            return reply(0, Frames::ConnectionOpenOk, std::string_view("\0", 1));
        case Frames::ConnectionClose:
            reply(0, Frames::ConnectionCloseOk);
            closing = true;
            return;
        case Frames::ConnectionCloseOk:
            closing = true;
            return;
        default:
            return closeWith(540, "not implemented");
        }
    }
    if (method == Frames::ChannelOpen) {
        if (channels.size() <= number)
            channels.resize(number + 1u);
        if (channels[number])
            return closeWith(504, "the channel is open");
        channels[number] = std::make_unique<Channel>(number);
        return reply(number, Frames::ChannelOpenOk, std::string_view("\0\0\0\0", 4));
    }
    if (number >= channels.size() || !channels[number])
        return closeWith(504, "the channel is not open");
    Channel &channel = *channels[number];
    switch (method) {
    case Frames::BasicPublish:
        return publish(channel, arguments);
    case Frames::BasicAck: {
        const auto tag = arguments.number<std::uint64_t>();
        return ack(channel, tag, arguments.number<std::uint8_t>());
    }
    case Frames::QueueDeclare:
        return declare(channel, arguments);
    case Frames::BasicQos:
        arguments.number<std::uint32_t>();
        channel.prefetch = arguments.number<std::uint16_t>();
        return reply(number, Frames::BasicQosOk);
    case Frames::BasicConsume:
        return consume(channel, arguments);
    case Frames::BasicCancel:
        return cancel(channel, arguments);
    case Frames::ConfirmSelect:
        channel.confirms = true;
        return reply(number, Frames::ConfirmSelectOk);
    case Frames::ChannelClose:
        endConsumers(channel);
        std::erase(unconfirmed, &channel);
        channels[number].reset();
        return reply(number, Frames::ChannelCloseOk);
    default:
        return closeWith(540, "not implemented");
    }
}

void Connection::declare(Channel &channel, Frames::Reader &arguments)
{
    arguments.number<std::uint16_t>();
    const Queue &queue = broker.queue(std::string(arguments.shortString()));
    std::string declared;
    Frames::appendShort(declared, queue.name);
    Frames::append(declared, std::uint32_t(0));
    Frames::append(declared, std::uint32_t(queue.consumers.size()));
    reply(channel.number, Frames::QueueDeclareOk, declared);
}

void Connection::consume(Channel &channel, Frames::Reader &arguments)
{
    arguments.number<std::uint16_t>();
    Queue &queue = broker.queue(std::string(arguments.shortString()));
    auto consumer = std::make_unique<Consumer>();
    consumer->connection = this;
    consumer->channel = &channel;
    consumer->queue = &queue;
    consumer->tag = arguments.shortString();
    if (consumer->tag.empty())
        consumer->tag = "consumer-" + std::to_string(channel.consumers.size() + 1);
    consumer->noAck = arguments.number<std::uint8_t>() & 2;
    consumer->prefetch = consumer->noAck ? 0 : channel.prefetch;

    std::string tag;
    Frames::appendShort(tag, consumer->tag);
    reply(channel.number, Frames::BasicConsumeOk, tag);

    consumer->arguments = tag + std::string(10, '\0'); // delivery tag, redelivered, exchange
    Frames::appendShort(consumer->arguments, queue.name);
    if (const Supply &supply = queue.supply; supply.count > 0) {
        consumer->left = supply.rate ? 0 : supply.count;
        consumer->since = milliseconds();
        Frames::appendMethod(consumer->delivery, channel.number, Frames::BasicDeliver, consumer->arguments);
        Frames::appendHeader(consumer->delivery, channel.number, supply.size, Frames::Properties);
        if (supply.size < Supply::Large) {
            Frames::appendBody(consumer->delivery, channel.number, supply.body());
        } else {
            std::string &frames = largeBodies[{channel.number, supply.size}];
            if (frames.empty())
                Frames::appendBody(frames, channel.number, supply.body());
            consumer->large = &frames;
        }
    }
    queue.consumers.push_back(consumer.get());
    enlist(consumer.get());
    channel.consumers.push_back(std::move(consumer));
}

void Connection::cancel(Channel &channel, Frames::Reader &arguments)
{
    const std::string_view tag = arguments.shortString();
    for (const auto &consumer : channel.consumers) {
        if (consumer->tag == tag) {
            std::erase(consumer->queue->consumers, consumer.get());
            consumer->left = 0;
        }
    }
    std::string cancelled;
    Frames::appendShort(cancelled, tag);
    reply(channel.number, Frames::BasicCancelOk, cancelled);
}

void Connection::endConsumers(Channel &channel)
{
    for (const auto &consumer : channel.consumers) {
        std::erase(consumer->queue->consumers, consumer.get());
        std::erase(ready, consumer.get());
    }
}

void Connection::ack(Channel &channel, std::uint64_t tag, bool multiple)
{
    const std::uint64_t first = channel.lastTag - channel.unacked.size() + 1;
    if (multiple && tag == 0)
        tag = channel.lastTag;
    if (tag < first || tag > channel.lastTag || !channel.unacked[tag - first])
        return closeWith(406, "unknown delivery tag");
    for (std::uint64_t i = multiple ? 0 : tag - first; i <= tag - first; ++i) {
        if (Consumer *consumer = std::exchange(channel.unacked[i], nullptr)) {
            --consumer->unacked;
            enlist(consumer);
        }
    }
    while (!channel.unacked.empty() && !channel.unacked.front())
        channel.unacked.pop_front();
}

void Connection::publish(Channel &channel, Frames::Reader &arguments)
{
    arguments.number<std::uint16_t>();
    if (!arguments.shortString().empty())
        return closeWith(540, "only the default exchange is implemented");
    channel.target = &broker.queue(std::string(arguments.shortString()));
}

void Connection::closeWith(std::uint16_t code, std::string_view text)
{
    std::string arguments;
    Frames::append(arguments, code);
    Frames::appendShort(arguments, text);
    Frames::append(arguments, std::uint32_t(0));
    reply(0, Frames::ConnectionClose, arguments);
    closing = true;
}

void Connection::enlist(Consumer *consumer)
{
    if (!consumer->listed && consumer->isReady()) {
        consumer->listed = true;
        ready.push_back(consumer);
    }
}

std::uint64_t Connection::nextTag(Consumer &consumer)
{
    Channel &channel = *consumer.channel;
    if (!consumer.noAck)
        ++consumer.unacked;
    if (!consumer.noAck || !channel.unacked.empty())
        channel.unacked.push_back(consumer.noAck ? nullptr : &consumer);
    return ++channel.lastTag;
}

// Sends published messages, regardless of the prefetch.
void Connection::deliver(Consumer &consumer, const Channel &message)
{
    std::string &to = large ? afterLarge : out;
    const std::size_t at = to.size();
    const std::uint16_t number = consumer.channel->number;
    Frames::appendMethod(to, number, Frames::BasicDeliver, consumer.arguments);
    Frames::put(to.data() + at + consumer.tagOffset(), nextTag(consumer));
    Frames::appendHeader(to, number, message.body.size(), message.properties);
    Frames::appendBody(to, number, message.body);
}

// Generates messages for the consumers in turn, until there is enough for one write, or a large body.
void Connection::makeUp()
{
    while (!ready.empty() && !large && out.size() < WriteSize) {
        turn = turn < ready.size() ? turn : 0;
        Consumer &consumer = *ready[turn];
        if (consumer.isReady()) {
            const std::size_t at = out.size();
            out += consumer.delivery;
            const std::uint64_t tag = nextTag(consumer);
            Frames::put(out.data() + at + consumer.tagOffset(), tag);
            if (consumer.queue->supply.isJson())
                Supply::setValue(out.data() + at + consumer.bodyOffset(), tag);
            large = consumer.large;
            --consumer.left;
        }
        if (consumer.isReady()) {
            ++turn;
        } else {
            consumer.listed = false;
            ready[turn] = ready.back();
            ready.pop_back();
        }
    }
}

bool Connection::send()
{
    if (!stream->flush())
        return false;
    for (int i = 0; i < 16; ++i) { // the limit lets the other connections have their turn
        if (!closing)
            makeUp();
        iovec parts[] = {{out.data() + sent, out.size() - sent}, {nullptr, 0}};
        if (large)
            parts[1] = {const_cast<char *>(large->data()) + largeSent, large->size() - largeSent};
        if (parts[0].iov_len + parts[1].iov_len == 0)
            break;
        const ssize_t written = stream->write(parts, large ? 2 : 1);
        if (written < 0) {
            if (errno == EAGAIN)
                return true;
            return false;
        }
        lastSent = seconds();
        const std::size_t ofOut = std::min(std::size_t(written), parts[0].iov_len);
        sent += ofOut;
        largeSent += std::size_t(written) - ofOut;
        if (sent == out.size() && (!large || largeSent == large->size())) {
            out.clear();
            sent = largeSent = 0;
            large = nullptr;
            out.swap(afterLarge);
        }
    }
    return !closing || wantsWrite();
}

void Connection::beatIfIdle(time_t now)
{
    if (heartbeat && now - lastSent >= heartbeat / 2) {
        Frames::appendFrame(large ? afterLarge : out, Frames::Heartbeat, 0, {});
        lastSent = now;
    }
}
