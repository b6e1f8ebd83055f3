// SPDX-License-Identifier: MIT
#include "engine/connection/channelrouter_p.h"

#include "support/frames.h"

#include <QtCore/qstringlist.h>
#include <QtTest/qtest.h>

#include <cstring>
#include <deque>

using namespace AmqpQt;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;
using Engine::ChannelEngine;
using Engine::ChannelRouter;
using Engine::FrameReader;

namespace
{

// The connection of the channels, with the parts around a router.
class Host final : public Engine::ChannelHost, public Engine::ChannelClient, public Engine::ConsumerClient
{
public:
    Host()
    {
        m_gate.connectionOpened(m_settings);
        m_reader.start();
        m_reader.setMaximumFrameSize(Wire::SpecFrameMinimum);
        m_reader.handshakeDone();
    }
    ~Host()
    {
        for (const auto &channel : m_engines)
            channel->release();
    }

    std::shared_ptr<ChannelEngine> openChannel()
    {
        Engine::ChannelHost &host = *this;
        auto channel = std::make_shared<ChannelEngine>(host, m_channels.add(nullptr), this);
        m_channels.setChannel(channel->number(), channel.get());
        m_engines.push_back(channel);
        channel->open();
        feed(Wire::encodeFrame(channel->number(), Wire::ChannelOpenOk{}));
        takeSent();
        while (!m_events.isEmpty())
            m_events.takeFirst();
        return channel;
    }
    // Passes the frames to the router, as a connection does.
    void feed(QByteArrayView bytes)
    {
        while (!bytes.isEmpty()) {
            const std::span<char> space = m_reader.space();
            const qsizetype size = std::min(bytes.size(), qsizetype(space.size()));
            std::memcpy(space.data(), bytes.data(), size_t(size));
            m_reader.filled(size);
            bytes = bytes.sliced(size);
            for (FrameReader::Step step = m_reader.next(); step != FrameReader::Step::NeedsInput;
                 step = m_reader.next())
                route(step);
        }
    }
    QStringList takeSent() // returns the names of the methods
    {
        QStringList methods;
        FrameParser parser;
        while (!m_frames.output().isEmpty()) {
            const QByteArrayView front = m_frames.output().front();
            for (QByteArrayView left = front; !left.isEmpty();) {
                if (const std::optional<Frame> frame = parser.next(left))
                    methods += frame->describe();
            }
            m_frames.output().consume(front.size());
        }
        return methods;
    }
    QList<int> takeViolations() { return std::exchange(m_violations, {}); }
    QByteArrayList takeDelivered() { return std::exchange(m_delivered, {}); }
    using ChannelHost::channels;
    int progress() const { return m_progress; }

    Result<quint16> claimNumber(ChannelEngine &channel) override
    {
        m_channels.opened();
        return channel.number();
    }
    void channelEnded(const ChannelEngine &channel, bool awaitsCloseOk) override
    {
        m_router.channelEnded(channel);
        m_channels.closed(channel.number(), awaitsCloseOk);
    }
    void noteProgress() override { ++m_progress; }
    void reportViolation(quint16 replyCode, const QString &) override { m_violations += replyCode; }
    void reportUnexpected(const char *) override { m_violations += Wire::ReplyCode::CommandInvalid; }

private:
    void route(FrameReader::Step step)
    {
        const Wire::FrameHeader &header = m_reader.header();
        bool isDelivered = false;
        switch (step) {
        case FrameReader::Step::Frame:
            if (header.type == quint8(Wire::FrameType::Method)) {
                const Frame frame{Wire::FrameType::Method, header.channel, m_reader.payload().toByteArray()};
                m_router.onMethod(header.channel, frame.methodId(), m_reader.payload().sliced(4));
            } else {
                isDelivered = m_router.onHeader({});
            }
            break;
        case FrameReader::Step::LargeHeader:
            isDelivered = m_router.onLargeHeader();
            break;
        case FrameReader::Step::Body:
            m_router.onBody();
            break;
        case FrameReader::Step::BodyEnd:
            isDelivered = m_router.onBodyEnd();
            break;
        default:
            QFAIL("a malformed frame");
        }
        if (isDelivered)
            m_delivered += m_router.takeDelivered().message.body;
    }

    FrameReader m_reader;
    ChannelRouter m_router{*this, m_channels, m_reader};
    std::deque<std::shared_ptr<ChannelEngine>> m_engines;
    QList<int> m_violations;
    QByteArrayList m_delivered;
    int m_progress = 0;
};

std::shared_ptr<Engine::ConsumerEntry> subscribe(Host &host, ChannelEngine &channel, const QByteArray &tag)
{
    ConsumeOptions options;
    options.consumerTag = QString::fromUtf8(tag);
    auto consumer = *channel.subscriptions().consume(u"q"_s, options, &host);
    host.feed(Wire::encodeFrame(channel.number(), Wire::BasicConsumeOk{.consumerTag = QByteArrayView(tag)}));
    host.takeSent();
    return consumer;
}

} // namespace

class tst_ChannelRouter : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void contentsGoToTheirChannels();
    void framesOfAChannelThatIsNotOpenAreViolations_data();
    void framesOfAChannelThatIsNotOpenAreViolations();
    void framesOutOfOrderAreViolations_data();
    void framesOutOfOrderAreViolations();
    void framesAreSkippedUntilCloseOk();
    void crossingCloseIsAnswered();
    void deliveriesForAnEarlierChannelAreSkipped();
    void theRestOfABodyIsSkippedWhenItsChannelEnds();
    void aHeaderThatIsTooLargeEndsOneConsumer();
};

void tst_ChannelRouter::contentsGoToTheirChannels()
{
    Host host;
    const auto first = host.openChannel();
    const auto second = host.openChannel();
    const auto consumerOfFirst = subscribe(host, *first, "a");
    const auto consumerOfSecond = subscribe(host, *second, "b");
    const auto deliver = [](const QByteArray &tag) {
        return Wire::BasicDeliver{.consumerTag = QByteArrayView(tag), .deliveryTag = 1};
    };
    const QByteArray a = "a", b = "b";
    // The frames of two channels may alternate.
    host.feed(Wire::encodeFrame(1, deliver(a)) + Wire::encodeFrame(2, deliver(b)) + headerFrame(1, 3) +
              headerFrame(2, 2) + encodeFrame(Wire::FrameType::Body, 1, "on") +
              encodeFrame(Wire::FrameType::Body, 2, "2") + encodeFrame(Wire::FrameType::Body, 1, "e") +
              encodeFrame(Wire::FrameType::Body, 2, "!"));
    QCOMPARE(host.takeDelivered(), QByteArrayList({"one", "2!"}));
    QCOMPARE(consumerOfFirst->unacked, 1);
    QCOMPARE(consumerOfSecond->unacked, 1);
    QCOMPARE(host.takeViolations(), QList<int>());
}

void tst_ChannelRouter::framesOfAChannelThatIsNotOpenAreViolations_data()
{
    QTest::addColumn<QByteArray>("frame");
    QTest::newRow("method") << Wire::encodeFrame(9, Wire::TxSelectOk{});
    QTest::newRow("header") << headerFrame(9, 1);
    QTest::newRow("body") << encodeFrame(Wire::FrameType::Body, 9, "x");
    QTest::newRow("header on channel 0") << headerFrame(0, 1);
    QTest::newRow("body on channel 0") << encodeFrame(Wire::FrameType::Body, 0, "x");
}

void tst_ChannelRouter::framesOfAChannelThatIsNotOpenAreViolations()
{
    QFETCH(const QByteArray, frame);
    Host host;
    host.openChannel();
    host.feed(frame);
    QCOMPARE(host.takeViolations(), QList<int>{Wire::ReplyCode::ChannelError});
}

void tst_ChannelRouter::framesOutOfOrderAreViolations_data()
{
    QTest::addColumn<QByteArray>("frames");
    QTest::addColumn<int>("replyCode");
    const QByteArray deliver = Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "a", .deliveryTag = 1});
    QTest::newRow("header without method") << headerFrame(1, 1) << int(Wire::ReplyCode::UnexpectedFrame);
    QTest::newRow("body without header") << deliver + encodeFrame(Wire::FrameType::Body, 1, "x")
                                         << int(Wire::ReplyCode::UnexpectedFrame);
    QTest::newRow("method instead of a header")
        << deliver + Wire::encodeFrame(1, Wire::TxSelectOk{}) << int(Wire::ReplyCode::UnexpectedFrame);
    QTest::newRow("body longer than announced")
        << deliver + headerFrame(1, 1) + encodeFrame(Wire::FrameType::Body, 1, "xy")
        << int(Wire::ReplyCode::FrameError);
    QTest::newRow("truncated header") << deliver + encodeFrame(Wire::FrameType::Header, 1, "\0\x3c")
                                      << int(Wire::ReplyCode::SyntaxError);
    QTest::newRow("body of 2^63 bytes") << deliver + headerFrame(1, quint64(1) << 63)
                                        << int(Wire::ReplyCode::FrameError);
}

void tst_ChannelRouter::framesOutOfOrderAreViolations()
{
    QFETCH(const QByteArray, frames);
    QFETCH(const int, replyCode);
    Host host;
    const auto channel = host.openChannel();
    const auto consumer = subscribe(host, *channel, "a");
    host.feed(frames);
    QCOMPARE(host.takeViolations(), QList<int>{replyCode});
    QCOMPARE(host.takeDelivered(), QByteArrayList());
}

void tst_ChannelRouter::framesAreSkippedUntilCloseOk()
{
    Host host;
    const auto channel = host.openChannel();
    const auto consumer = subscribe(host, *channel, "a");
    channel->release(); // sends channel.close
    QVERIFY(host.channels().slot(1).awaitsCloseOk);
    host.takeSent();
    host.feed(deliverFrames("a", 1, {.body = "x"}) + Wire::encodeFrame(1, Wire::TxSelectOk{}));
    QCOMPARE(host.takeDelivered(), QByteArrayList());
    QVERIFY(host.channels().slot(1).awaitsCloseOk);
    QCOMPARE(host.progress(), 0);
    host.feed(Wire::encodeFrame(1, Wire::ChannelCloseOk{}));
    QVERIFY(!host.channels().slot(1).awaitsCloseOk);
    QCOMPARE(host.progress(), 1);
    QCOMPARE(host.takeViolations(), QList<int>());
    host.feed(Wire::encodeFrame(1, Wire::TxSelectOk{}));
    QCOMPARE(host.takeViolations(), QList<int>{Wire::ReplyCode::ChannelError});
}

void tst_ChannelRouter::crossingCloseIsAnswered()
{
    Host host;
    host.openChannel()->release();
    host.takeSent();
    host.feed(Wire::encodeFrame(1, Wire::ChannelClose{.replyCode = 404}));
    QCOMPARE(host.takeSent().size(), 1);
    QVERIFY(host.channels().slot(1).awaitsCloseOk); // the broker has not answered channel.close yet
    host.feed(Wire::encodeFrame(1, Wire::ChannelCloseOk{}));
    QVERIFY(!host.channels().slot(1).awaitsCloseOk);
    QCOMPARE(host.takeViolations(), QList<int>());
}

void tst_ChannelRouter::deliveriesForAnEarlierChannelAreSkipped()
{
    Host host;
    const auto earlier = host.openChannel();
    subscribe(host, *earlier, "a");
    host.feed(Wire::encodeFrame(1, Wire::ChannelClose{.replyCode = 404}));
    QVERIFY(host.channels().slot(1).closedByPeer);

    Engine::ChannelHost &asHost = host;
    QVERIFY(host.channels().add(1, nullptr));
    const auto later = std::make_shared<ChannelEngine>(asHost, quint16(1), &host);
    host.channels().setChannel(1, later.get());
    later->open();
    host.feed(deliverFrames("a", 2, {.body = "for the earlier one"}));
    QCOMPARE(host.takeDelivered(), QByteArrayList());
    QCOMPARE(host.takeViolations(), QList<int>());
    host.feed(Wire::encodeFrame(1, Wire::ChannelOpenOk{}));
    QVERIFY(!host.channels().slot(1).closedByPeer);
    const auto consumer = subscribe(host, *later, "a");
    host.feed(deliverFrames("a", 1, {.body = "for the later one"}));
    QCOMPARE(host.takeDelivered(), QByteArrayList{"for the later one"});
    later->release();
}

void tst_ChannelRouter::theRestOfABodyIsSkippedWhenItsChannelEnds()
{
    Host host;
    const auto ending = host.openChannel();
    const auto staying = host.openChannel();
    subscribe(host, *ending, "a");
    const auto consumer = subscribe(host, *staying, "b");
    const QByteArray frames = deliverFrames("a", 1, {.body = QByteArray(1000, 'x')});
    host.feed(QByteArrayView(frames).chopped(500)); // in the middle of the body
    ending->release();
    host.feed(QByteArrayView(frames).last(500));
    QCOMPARE(host.takeDelivered(), QByteArrayList());
    host.feed(deliverFrames("b", 1, {.body = "next"}, 2));
    QCOMPARE(host.takeDelivered(), QByteArrayList{"next"});
    QCOMPARE(host.takeViolations(), QList<int>());
}

void tst_ChannelRouter::aHeaderThatIsTooLargeEndsOneConsumer()
{
    Host host;
    const auto channel = host.openChannel();
    const auto ending = subscribe(host, *channel, "a");
    const auto staying = subscribe(host, *channel, "b");
    const QByteArray deliver = Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "a", .deliveryTag = 1});
    host.feed(deliver + headerFrame(1, 1, QByteArray(2 * 1024 * 1024, '\0')) +
              encodeFrame(Wire::FrameType::Body, 1, "x"));
    QCOMPARE(host.takeDelivered(), QByteArrayList());
    host.feed(deliverFrames("b", 2, {.body = "next"}));
    QCOMPARE(host.takeDelivered(), QByteArrayList{"next"});
    QCOMPARE(host.takeViolations(), QList<int>());
}

QTEST_GUILESS_MAIN(tst_ChannelRouter)
#include "tst_channelrouter.moc"
