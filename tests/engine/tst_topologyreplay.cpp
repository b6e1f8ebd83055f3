// SPDX-License-Identifier: MIT
#include "engine/topology/topologyreplay_p.h"
#include "engine/topologystory.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// How a TopologyReplay makes the declarations of a record again.
class tst_TopologyReplay : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void emptyRecordNeedsNoSteps();
    void stepsHaveTheirOrder();
    void bindingsWaitForAllDeclarations();
    void queueThatTheBrokerNamesIsDeclaredWithoutAName();
    void bindingsFollowTheNewName();
    void queueWithTheSameNameIsNotRenamed();
    void bindingsOfFailedEntitiesAreSkipped();
    void refusedBindingFailsAlone();
    void aSecondOutageReplaysTheNamesOfTheFirst();
};

namespace
{

const Error refused(ErrorKind::ChannelClosed, u"refused"_s, 406);

QString nameOf(const Engine::TopologyReplay::Step &step)
{
    if (const auto *exchange = std::get_if<Engine::DeclaredExchange>(&step.entity))
        return u"exchange "_s + exchange->name;
    if (const auto *queue = std::get_if<Engine::DeclaredQueue>(&step.entity))
        return u"queue "_s + queue->name;
    const auto &binding = std::get<Engine::Binding>(step.entity);
    return binding.destination + u'<' + binding.source +
           (binding.routingKey.isEmpty() ? QString() : u' ' + binding.routingKey);
}

// Makes all steps, in pipelines as long as possible. Those in `failing` fail; the broker names queues by `names`.
struct Replaying {
    explicit Replaying(Engine::TopologyRecord &record)
        : replay(record)
    {
    }

    QStringList run()
    {
        QStringList steps;
        while (!replay.isFinished()) {
            std::vector<Engine::TopologyReplay::Step> pipeline;
            while (auto step = replay.next())
                pipeline.push_back(*std::move(step));
            if (pipeline.empty())
                break;
            for (const auto &step : pipeline) {
                const QString name = nameOf(step);
                steps += name;
                const bool fails = failing.contains(name);
                const auto *queue = std::get_if<Engine::DeclaredQueue>(&step.entity);
                const QString given = !queue || fails         ? QString()
                                      : queue->name.isEmpty() ? names.takeFirst()
                                                              : queue->name;
                if (const auto change = replay.finished(step.number, fails ? refused : Error(), given))
                    renamed += change->from + u">"_s + change->to;
            }
        }
        return steps;
    }
    QStringList failures() const
    {
        QStringList failures;
        for (const auto &failure : replay.failures())
            failures += failure.entity + u": "_s + failure.error.text();
        return failures;
    }

    Engine::TopologyReplay replay;
    QStringList failing;
    QStringList names;
    QStringList renamed;
};

} // namespace

void tst_TopologyReplay::emptyRecordNeedsNoSteps()
{
    Engine::TopologyRecord record;
    Engine::TopologyReplay replay(record);
    QVERIFY(!replay.next());
    QVERIFY(replay.isFinished());
}

void tst_TopologyReplay::stepsHaveTheirOrder()
{
    TopologyStory t;
    t.queue(u"b"_s);
    t.exchange(u"x"_s);
    t.bind(t.queueBinding(u"b"_s, u"x"_s, u"1"_s));
    t.exchange(u"w"_s);
    t.queue(u"a"_s);
    t.bind(t.exchangeBinding(u"x"_s, u"w"_s));
    t.bind(t.queueBinding(u"a"_s, u"amq.topic"_s));
    t.bind(t.queueBinding(u"b"_s, u"x"_s, u"2"_s));
    Replaying replaying(t.record);
    QCOMPARE(replaying.run(), QStringList({u"exchange x"_s, u"exchange w"_s, u"queue b"_s, u"queue a"_s, u"x<w"_s,
                                           u"b<x 1"_s, u"a<amq.topic"_s, u"b<x 2"_s}));
    QVERIFY(replaying.replay.isFinished());
    QCOMPARE(replaying.replay.restored().exchanges, 2);
    QCOMPARE(replaying.replay.restored().queues, 2);
    QCOMPARE(replaying.replay.restored().bindings, 4);
    QCOMPARE(replaying.failures(), QStringList());
}

void tst_TopologyReplay::bindingsWaitForAllDeclarations()
{
    TopologyStory t;
    t.exchange(u"x"_s);
    t.queue(u"q"_s);
    t.bind(t.queueBinding(u"q"_s, u"x"_s));
    Engine::TopologyReplay replay(t.record);
    const auto exchange = replay.next();
    const auto queue = replay.next();
    QVERIFY(exchange && queue);
    QVERIFY(!replay.next());
    replay.finished(queue->number, {}, u"q"_s);
    QVERIFY(!replay.next());
    QVERIFY(!replay.isFinished());
    replay.finished(exchange->number, {});
    const auto binding = replay.next();
    QVERIFY(binding);
    QVERIFY(!replay.isFinished());
    replay.finished(binding->number, {});
    QVERIFY(replay.isFinished());
}

void tst_TopologyReplay::queueThatTheBrokerNamesIsDeclaredWithoutAName()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s, QueueOptions::temporary());
    Engine::TopologyReplay replay(t.record);
    const auto step = replay.next();
    QVERIFY(step);
    const auto &queue = std::get<Engine::DeclaredQueue>(step->entity);
    QCOMPARE(queue.name, QString());
    QVERIFY(queue.options.exclusive && queue.options.autoDelete && !queue.options.durable);
}

void tst_TopologyReplay::bindingsFollowTheNewName()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s);
    t.queueNamedByBroker(u"amq.gen-2"_s);
    Engine::Binding byName = t.queueBinding(u"amq.gen-1"_s, u"x"_s, u"amq.gen-1"_s);
    byName.keyIsQueueName = true;
    t.bind(byName);
    t.bind(t.queueBinding(u"amq.gen-2"_s, u"x"_s, u"k"_s));
    Replaying replaying(t.record);
    replaying.names = {u"amq.gen-3"_s, u"amq.gen-4"_s};
    QCOMPARE(replaying.run(), QStringList({u"queue "_s, u"queue "_s, u"amq.gen-3<x amq.gen-3"_s, u"amq.gen-4<x k"_s}));
    QCOMPARE(replaying.renamed, QStringList({u"amq.gen-1>amq.gen-3"_s, u"amq.gen-2>amq.gen-4"_s}));
}

void tst_TopologyReplay::queueWithTheSameNameIsNotRenamed()
{
    TopologyStory t;
    t.queue(u"q"_s);
    t.queueNamedByBroker(u"amq.gen-1"_s);
    Replaying replaying(t.record);
    replaying.names = {u"amq.gen-1"_s};
    replaying.run();
    QCOMPARE(replaying.renamed, QStringList());
    QCOMPARE(t.contents(), QStringList({u"q"_s, u"amq.gen-1"_s}));
}

void tst_TopologyReplay::bindingsOfFailedEntitiesAreSkipped()
{
    TopologyStory t;
    t.exchange(u"x"_s);
    t.exchange(u"y"_s);
    t.queue(u"q"_s);
    t.queue(u"y"_s); // has the name of the exchange that fails
    t.queue(u"r"_s);
    t.bind(t.queueBinding(u"q"_s, u"x"_s));
    t.bind(t.queueBinding(u"q"_s, u"y"_s));
    t.bind(t.queueBinding(u"y"_s, u"x"_s));
    t.bind(t.exchangeBinding(u"y"_s, u"x"_s));
    t.bind(t.queueBinding(u"r"_s, u"y"_s));
    Replaying replaying(t.record);
    replaying.failing = {u"exchange y"_s, u"queue q"_s};
    QCOMPARE(replaying.run(),
             QStringList({u"exchange x"_s, u"exchange y"_s, u"queue q"_s, u"queue y"_s, u"queue r"_s, u"y<x"_s}));
    QCOMPARE(replaying.failures(),
             QStringList({u"exchange \"y\": refused"_s, u"queue \"q\": refused"_s,
                          u"binding of exchange \"y\" to exchange \"x\" with the routing key \"\": refused"_s,
                          u"binding of queue \"q\" to exchange \"x\" with the routing key \"\": refused"_s,
                          u"binding of queue \"q\" to exchange \"y\" with the routing key \"\": refused"_s,
                          u"binding of queue \"r\" to exchange \"y\" with the routing key \"\": refused"_s}));
    QCOMPARE(replaying.replay.restored().exchanges, 1);
    QCOMPARE(replaying.replay.restored().queues, 2);
    QCOMPARE(replaying.replay.restored().bindings, 1);
    QCOMPARE(t.contents().size(), 10); // they are tried again after the next loss
}

void tst_TopologyReplay::refusedBindingFailsAlone()
{
    TopologyStory t;
    for (int i = 0; i < 20; ++i)
        t.bind(t.queueBinding(u"q"_s, u"x"_s, QString::number(i)));
    Replaying replaying(t.record);
    replaying.failing = {u"q<x 2"_s};
    QCOMPARE(replaying.run().size(), 20);
    QCOMPARE(replaying.replay.restored().bindings, 19);
    QCOMPARE(replaying.failures().size(), 1);
}

void tst_TopologyReplay::aSecondOutageReplaysTheNamesOfTheFirst()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s, QueueOptions::temporary());
    t.bind(t.queueBinding(u"amq.gen-1"_s, u"x"_s));
    t.consume(u"amq.gen-1"_s);
    for (int outage = 2; outage < 5; ++outage) {
        t.record.connectionLost();
        const QString name = u"amq.gen-%1"_s.arg(outage);
        Replaying replaying(t.record);
        replaying.names = {name};
        QCOMPARE(replaying.run(), QStringList({u"queue "_s, name + u"<x"_s}));
        t.consume(name);
    }
    QCOMPARE(t.contents(), QStringList({u"amq.gen-4"_s, u"amq.gen-4<x"_s}));
}

QTEST_APPLESS_MAIN(tst_TopologyReplay)
#include "tst_topologyreplay.moc"
