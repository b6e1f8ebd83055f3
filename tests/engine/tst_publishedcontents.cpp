// SPDX-License-Identifier: MIT
#include "engine/subscribed.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_PublishedContents : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void publishedContentsAreWhole_data();
    void publishedContentsAreWhole();
    void namesMayBeRawData();
    void namesMayChangeInPlace();
    void aNewAccessTicketIsInTheNextPublish();
    void messagePublishedAfterAnotherKeepsItsFields();
    void aLargeBodyIsNotCopiedForSending();
};

namespace
{

constexpr quint32 frameMax = 131072;

} // namespace

void tst_PublishedContents::publishedContentsAreWhole_data()
{
    QTest::addColumn<qsizetype>("size");
    QTest::addColumn<quint32>("limit");
    for (const quint32 limit : {quint32(4096), frameMax, quint32(0)}) {
        const int payload = int(limit ? limit : frameMax) - 8;
        for (const int size :
             {0, 1, payload - 1, payload, payload + 1, 32 * 1024 - 1, 32 * 1024, 3 * payload, 1024 * 1024})
            QTest::addRow("%d bytes, frame-max %u", size, limit) << qsizetype(size) << limit;
    }
}

void tst_PublishedContents::namesMayBeRawData()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const QByteArray properties(2, '\0');
    QChar buffer[] = {u'a', u'b'};
    for (const QChar last : {u'1', u'2'}) {
        buffer[1] = last;
        const QString name = QString::fromRawData(buffer, 2);
        QVERIFY(channel.publish(name, name, properties, "b", false));
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) {
            QCOMPARE(QString::fromUtf8(publish.exchange), name);
            QCOMPARE(QString::fromUtf8(publish.routingKey), name);
        });
        s.takeSent();
    }
}

void tst_PublishedContents::namesMayChangeInPlace()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const QByteArray properties(2, '\0');
    QString exchange(2, u'e');
    QString key(2, u'k');
    QChar *const end = &key[1]; // writing through it does not detach the string
    for (const QChar last : {u'1', u'2', u'2'}) {
        exchange[1] = last;
        *end = last;
        QVERIFY(channel.publish(exchange, key, properties, "b", false));
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) {
            QCOMPARE(publish.exchange, QByteArrayView(exchange.toUtf8()));
            QCOMPARE(publish.routingKey, QByteArrayView(key.toUtf8()));
        });
        s.takeSent();
    }
}

void tst_PublishedContents::aNewAccessTicketIsInTheNextPublish()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto publishedTicket = [&] {
        quint16 ticket = 0;
        channel.publish(u"e"_s, u"k"_s, QByteArray(2, '\0'), "b", false);
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) { ticket = publish.ticket; });
        s.takeSent();
        return ticket;
    };
    QCOMPARE(publishedTicket(), quint16(0));
    QVERIFY(channel.requestAccess(u"/data"_s, {}));
    s.expectSent<Wire::AccessRequest>();
    QCOMPARE(publishedTicket(), quint16(0)); // the ticket has not been granted yet
    s.broker(Wire::AccessRequestOk{.ticket = 7});
    QCOMPARE(publishedTicket(), quint16(7));
}

// The frames of the previous message are reused where they are the same.
void tst_PublishedContents::messagePublishedAfterAnotherKeepsItsFields()
{
    struct Published {
        QString exchange;
        QString routingKey;
        QByteArray properties;
        QByteArray body;
        bool mandatory;
    };
    const QByteArray none(2, '\0');
    const QByteArray priority = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 1});
    const QByteArray other = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 2});
    const Published all[] = {
        {u"e"_s, u"k"_s, none, "body", false},    {u"e"_s, u"k"_s, none, "longer body", false},
        {u"e"_s, u"k"_s, none, "", false},        {u"f"_s, u"k"_s, none, "body", false},
        {u"f"_s, u"l"_s, none, "body", false},    {u""_s, u"l"_s, none, "body", false},
        {u""_s, u"l"_s, priority, "body", false}, {u""_s, u"l"_s, other, "body", false},
        {u""_s, u"l"_s, other, "body", true},     {u""_s, u"l"_s, other, "body", true},
    };
    Script s;
    s.open();
    auto &channel = s.openChannel();
    for (const Published &published : all) {
        QVERIFY(channel.publish(published.exchange, published.routingKey, published.properties, published.body,
                                published.mandatory));
        s.write();
        const auto sent = s.takeSent();
        QCOMPARE(sent.size(), size_t(published.body.isEmpty() ? 2 : 3));
        QCOMPARE(sent[0].payload,
                 Wire::encodePayload(Wire::BasicPublish{.exchange = QByteArrayView(published.exchange.toUtf8()),
                                                        .routingKey = QByteArrayView(published.routingKey.toUtf8()),
                                                        .mandatory = published.mandatory}));
        Wire::ContentHeader header;
        QVERIFY(Wire::decodeContentHeader(sent[1].payload, header));
        QCOMPARE(header.bodySize, quint64(published.body.size()));
        QCOMPARE(header.properties, QByteArrayView(published.properties));
        if (!published.body.isEmpty())
            QCOMPARE(sent[2].payload, published.body);
    }
}

void tst_PublishedContents::publishedContentsAreWhole()
{
    QFETCH(qsizetype, size);
    QFETCH(quint32, limit);
    Script s;
    s.settings.frameMax = 0;
    s.open({.frameMax = limit});
    auto &channel = s.openChannel();
    const QByteArray body = pattern(size);
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::TypeFlag, .type = "t"});
    QCOMPARE(*channel.publish(u"e"_s, u"k"_s, properties, "before", true), quint64(1));
    s.write();
    s.takeSent();
    QCOMPARE(*channel.publish(u"e"_s, u"k"_s, properties, body, true), quint64(2));
    QVERIFY(s.engine.flow().queuedBytes() >= size);
    s.write();
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
    auto sent = s.takeSent();
    QCOMPARE(sent.front().payload,
             Wire::encodePayload(Wire::BasicPublish{.exchange = "e", .routingKey = "k", .mandatory = true}));
    Wire::ContentHeader header;
    QVERIFY(Wire::decodeContentHeader(sent[1].payload, header));
    QCOMPARE(header.bodySize, quint64(size));
    QCOMPARE(header.properties, QByteArrayView(properties));
    const qsizetype largest = qsizetype(limit ? limit : frameMax) - 8;
    QCOMPARE(qsizetype(sent.size()), 2 + (size + largest - 1) / largest); // as few frames as possible are sent
    QByteArray received;
    for (size_t i = 2; i < sent.size(); ++i)
        received += sent[i].payload;
    QCOMPARE(received, body);
}

void tst_PublishedContents::aLargeBodyIsNotCopiedForSending()
{
    Script s;
    s.open();
    const QByteArray body = pattern(100'000);
    QVERIFY(s.openChannel().publish({}, u"k"_s, QByteArray(2, '\0'), body, false));
    s.engine.prepareOutput(s.now);
    bool shared = false;
    for (QByteArrayView bytes = s.engine.output(); !bytes.isEmpty(); bytes = s.engine.output()) {
        shared = shared || bytes.data() == body.constData();
        s.engine.written(bytes.size(), s.now);
    }
    QVERIFY(shared);
}

QTEST_GUILESS_MAIN(tst_PublishedContents)
#include "tst_publishedcontents.moc"
