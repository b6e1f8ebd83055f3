// SPDX-License-Identifier: MIT
#include "support/messages.h"

#include <QtCore/qtimezone.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

// Tests decoding and encoding on first use by several threads at once. Most useful under ThreadSanitizer.
class tst_MessageThreads : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void propertiesAndHeadersMayBeDecodedInSeveralThreads();
    void changedMessageMayBeEncodedInSeveralThreads();
    void copiesMayBeChangedWhileOthersAreRead();
    void defaultMessagesMayBeReadInSeveralThreads();
    void copiesMayBeSettledInSeveralThreads();
    void memoryIsUsedAgainOnlyBehindTheLastReader_data();
    void memoryIsUsedAgainOnlyBehindTheLastReader();
};

namespace
{

constexpr int Rounds = 200;
constexpr int Threads = 3;

Message fullMessage()
{
    Message message("body"_ba, u"text/plain"_s);
    message.setContentEncoding(u"UTF-8"_s);
    message.setHeaders({{u"x-delivery-count"_s, 2}, {u"key"_s, u"value"_s}, {u"list"_s, QVariantList{1, u"two"_s}}});
    message.setPriority(9);
    message.setCorrelationId(u"correlation"_s);
    message.setExpiration(1500ms);
    message.setTimestamp(QDateTime::fromSecsSinceEpoch(1700000000, QTimeZone::utc()));
    return message;
}

bool readsAsFullMessage(const Message &message)
{
    return message.contentType() == u"text/plain"_s && message.text() == u"body"_s && message.priority() == 9 &&
           message.correlationId() == u"correlation"_s && message.expiration() == 1500ms &&
           message.timestamp().toSecsSinceEpoch() == 1700000000 && message.header(u"key"_s).toString() == u"value"_s &&
           message.headers().size() == 3 && message.deliveryCount() == 2 && message.isPersistent();
}

// Runs function(message, index) in several threads, as simultaneously as possible, each with a copy of `message`.
// Returns how many of them returned true.
template <typename Function>
int runAtOnce(const Message &message, Function function)
{
    std::atomic_int successes = 0;
    std::latch ready(Threads);
    std::vector<std::thread> threads;
    for (int i = 0; i < Threads; ++i) {
        threads.emplace_back([&, copy = message, i]() mutable {
            ready.arrive_and_wait();
            successes += function(copy, i);
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    return successes;
}

} // namespace

void tst_MessageThreads::propertiesAndHeadersMayBeDecodedInSeveralThreads()
{
    const QByteArray properties = encoded(fullMessage());
    for (int round = 0; round < Rounds; ++round) {
        const Message message = delivered("body"_ba, properties);
        QCOMPARE(runAtOnce(message, [](const Message &copy, int) { return readsAsFullMessage(copy); }), Threads);
        QVERIFY(readsAsFullMessage(message));
    }
}

void tst_MessageThreads::changedMessageMayBeEncodedInSeveralThreads()
{
    const QByteArray expected = encoded(fullMessage());
    for (int round = 0; round < Rounds; ++round) {
        const Message message = fullMessage();
        QCOMPARE(runAtOnce(message, [&](const Message &copy, int) { return encoded(copy) == expected; }), Threads);
        QCOMPARE(encoded(message), expected);
    }
}

void tst_MessageThreads::copiesMayBeChangedWhileOthersAreRead()
{
    const QByteArray properties = encoded(fullMessage());
    for (int round = 0; round < Rounds; ++round) {
        const Message message = delivered("body"_ba, properties); // this copy stays, so that every change detaches
        const int successes = runAtOnce(message, [](Message &copy, int index) {
            if (index == 0)
                return readsAsFullMessage(copy) && !encoded(copy).isEmpty();
            copy.setHeader(u"index"_s, index);
            copy.setType(QString::number(index));
            const Message received = sent(copy);
            return received.type() == QString::number(index) && received.header(u"index"_s) == QVariant(index) &&
                   received.headers().size() == 4 && received.correlationId() == u"correlation"_s;
        });
        QCOMPARE(successes, Threads);
        QVERIFY(readsAsFullMessage(message));
    }
}

void tst_MessageThreads::defaultMessagesMayBeReadInSeveralThreads()
{
    const int successes = runAtOnce(Message(), [](const Message &copy, int) {
        return copy == Message() && copy.isPersistent() && copy.headers().isEmpty() && copy.type().isEmpty();
    });
    QCOMPARE(successes, Threads);
}

void tst_MessageThreads::copiesMayBeSettledInSeveralThreads()
{
    struct Target final : SettlementTarget {
        void settleNow(const Settlement &) override { qFatal("not in the own thread"); }
        bool isUnsettled(const Settlement &) const override { return true; }
        void wakeForSettlements() override { ++wakes; }
        int wakes = 0;
    } target;
    DeliveryOrigin origin = anOrigin();
    origin.mailbox = std::make_shared<Mailbox>(&target);
    const Message message = delivered("body"_ba, encoded(Message()), origin, 5);
    runAtOnce(message, [](const Message &copy, int) {
        copy.ack();
        return true;
    });
    const std::vector<Settlement> settled = origin.mailbox->take();
    QCOMPARE(settled.size(), size_t(Threads));
    QCOMPARE(target.wakes, 1);
    for (const Settlement &each : settled)
        QCOMPARE(each.deliveryTag, quint64(5));
}

void tst_MessageThreads::memoryIsUsedAgainOnlyBehindTheLastReader_data()
{
    QTest::addColumn<bool>("isMessageKept");
    QTest::addColumn<bool>("isChanged");
    QTest::newRow("body, then delivered again") << false << false;
    QTest::newRow("message, then delivered again") << true << false;
    QTest::newRow("message, then changed") << true << true;
}

// Another thread reads a copy and releases it. Nothing else orders its reads before the writes here; the flag does
// not.
void tst_MessageThreads::memoryIsUsedAgainOnlyBehindTheLastReader()
{
    QFETCH(const bool, isMessageKept);
    QFETCH(const bool, isChanged);
    const QExplicitlySharedDataPointer<const DeliveryOrigin> origin(new DeliveryOrigin(anOrigin()));
    const QByteArray properties = encoded(fullMessage());
    for (int round = 0; round < Rounds; ++round) {
        Message message = MessageAccess::makeDelivered(QByteArray(100, 'a'), properties, origin, 1, false);
        const auto *const memory = MessageAccess::body(message).constData();
        std::atomic_bool isRead = false;
        std::thread reader([&isRead, kept = isMessageKept ? message : Message(),
                            body = isMessageKept ? QByteArray() : message.body(), isMessageKept]() mutable {
            bool isSame = false;
            {
                // Released by the destructor, which is inline. ThreadSanitizer does not see into
                // Qt's own code, such as clear().
                const QByteArray bytes = isMessageKept ? kept.body() : std::exchange(body, {});
                isSame = std::all_of(bytes.cbegin(), bytes.cend(), [](char byte) { return byte == 'a'; });
            }
            const bool isDecoded = !isMessageKept || kept.type().isEmpty();
            kept = {};
            if (!isSame || !isDecoded)
                qFatal("the reader reads something else");
            isRead.store(true, std::memory_order_relaxed);
        });
        while (!isRead.load(std::memory_order_relaxed))
            std::this_thread::yield();
        if (isChanged) {
            message.setType(u"changed"_s);
            QCOMPARE(message.type(), u"changed"_s);
        } else {
            const QByteArray next(100, 'b');
            QVERIFY(MessageAccess::reuseForDelivery(message, next, properties, origin, 2, false));
            QCOMPARE(message.body(), next);
        }
        QCOMPARE(MessageAccess::body(message).constData(), memory); // otherwise this would test nothing
        reader.join();
    }
}

QTEST_APPLESS_MAIN(tst_MessageThreads)
#include "tst_messagethreads.moc"
