// SPDX-License-Identifier: MIT
#include "engine/topologystory.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using EndOfConsumer = TopologyStory::EndOfConsumer;

// The rules of TopologyRecord, without a connection.
class tst_TopologyRecord : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void onlyConfirmedChangesAreRecorded();
    void entitiesKeepTheOrderOfTheirDeclarations();
    void aRedeclarationReplaces();
    void aRedeclarationOutlivesAnEarlierDeletion();
    void laterChangesOfATableHaveNoEffect();
    void bindingsThatDifferInOneFieldAreTwo_data();
    void bindingsThatDifferInOneFieldAreTwo();
    void argumentsOfOtherTypesAreOtherArguments();
    void deletedQueueTakesItsBindingsAlong();
    void deletedExchangeTakesItsBindingsAlong();
    void entitiesOfOthersMayBeBoundAndDeleted();

    void autoDeleteExchangeGoesWithItsLastBinding();
    void autoDeleteExchangeWithoutABindingStays();
    void autoDeleteCascades();
    void longCascadesEnd();
    void circlesOfExchangesEnd();

    void autoDeleteQueueGoesWithItsLastConsumer();
    void autoDeleteQueueWithoutAConsumerStays();
    void consumerThatIsOlderThanTheDeclarationCounts();
    void otherQueuesOutliveTheirConsumers();
    void brokersCancelRemovesOnlyCertainly_data();
    void brokersCancelRemovesOnlyCertainly();
    void endOfAnOldConsumerLeavesANewQueueAlone();

    void consumersStartAgainAfterALoss();
    void queueOfAbandonedConsumersGoes();
    void declarationUnderWayIsRecordedOnce();

    void bindingToAQueueWithoutANameGetsItsName();
    void callsForAFailedDeclarationAreDropped();
    void inspectedQueueNamesItsBindings();
    void renamedQueueKeepsItsBindings();
    void keyFollowsTheNameOnlyIfItWasTheName();
    void callsUnderWayFollowARename();
    void namesThatGoInCirclesEnd();

    void queuesThatComeAndGoLeaveNothing();
};

void tst_TopologyRecord::onlyConfirmedChangesAreRecorded()
{
    TopologyStory t;
    const auto declaring = t.expect(Engine::DeclaredQueue{u"q"_s, {}});
    const auto refused = t.expect(Engine::DeclaredQueue{u"refused"_s, {}});
    QCOMPARE(t.contents(), QStringList());
    t.confirm(declaring, t.infoOf(u"q"_s));
    t.fail(refused);
    QCOMPARE(t.contents(), QStringList{u"q"_s});

    const auto deleting = t.expect(Engine::QueueDeletion{{u"q"_s}});
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    t.fail(deleting);
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    t.confirm(declaring, t.infoOf(u"other"_s)); // no call of the record any more
    QCOMPARE(t.contents(), QStringList{u"q"_s});
}

void tst_TopologyRecord::entitiesKeepTheOrderOfTheirDeclarations()
{
    TopologyStory t;
    t.queue(u"b"_s);
    t.exchange(u"z"_s);
    t.bind(t.queueBinding(u"b"_s, u"z"_s, u"2"_s));
    t.queue(u"a"_s);
    t.exchange(u"y"_s);
    t.bind(t.queueBinding(u"a"_s, u"z"_s, u"1"_s));
    t.bind(t.exchangeBinding(u"y"_s, u"z"_s));
    const QStringList inOrder{u"z"_s, u"y"_s, u"b"_s, u"a"_s, u"y<z"_s, u"b<z 2"_s, u"a<z 1"_s};
    QCOMPARE(t.contents(), inOrder);
    t.queue(u"b"_s); // keeps its place
    t.exchange(u"z"_s);
    t.bind(t.queueBinding(u"b"_s, u"z"_s, u"2"_s));
    QCOMPARE(t.contents(), inOrder);
}

void tst_TopologyRecord::aRedeclarationReplaces()
{
    TopologyStory t;
    t.queue(u"q"_s, {.durable = true});
    t.queue(u"q"_s, {.durable = false, .arguments = {{u"x-expires"_s, 5}}});
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    QVERIFY(!t.record.confirmed().queue(u"q"_s)->options.durable);
    QCOMPARE(t.record.confirmed().queue(u"q"_s)->options.arguments, FieldTable({{u"x-expires"_s, 5}}));
    t.exchange(u"x"_s, true);
    t.exchange(u"x"_s, false);
    QVERIFY(!t.record.confirmed().exchange(u"x"_s)->options.autoDelete);
}

// All calls are under way at once.
void tst_TopologyRecord::aRedeclarationOutlivesAnEarlierDeletion()
{
    TopologyStory t;
    t.queue(u"q"_s);
    const auto deleting = t.expect(Engine::QueueDeletion{{u"q"_s}});
    const auto declaring = t.expect(Engine::DeclaredQueue{u"q"_s, {}});
    t.confirm(deleting);
    t.confirm(declaring, t.infoOf(u"q"_s));
    QCOMPARE(t.contents(), QStringList{u"q"_s});

    t.queue(u"temporary"_s, {.autoDelete = true});
    const auto consuming = t.expect(Engine::ConsumerStart{{u"temporary"_s}});
    t.confirm(consuming);
    const auto declaringAgain = t.expect(Engine::DeclaredQueue{u"temporary"_s, {.autoDelete = true}});
    t.record.consumerEnded(consuming, EndOfConsumer::Ended);
    t.confirm(declaringAgain, t.infoOf(u"temporary"_s));
    QCOMPARE(t.contents(), QStringList({u"q"_s, u"temporary"_s}));
}

void tst_TopologyRecord::laterChangesOfATableHaveNoEffect()
{
    TopologyStory t;
    QueueOptions options{.arguments = {{u"x-max-length"_s, 3}}};
    FieldTable headers{{u"region"_s, u"eu"_s}};
    const auto declaring = t.expect(Engine::DeclaredQueue{u"q"_s, options});
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding(u"q"_s, u"x"_s, {}, headers)});
    options.arguments.insert(u"x-max-length"_s, 4);
    headers.clear();
    t.confirm(declaring, t.infoOf(u"q"_s));
    t.confirm(binding);
    QCOMPARE(t.record.confirmed().queue(u"q"_s)->options.arguments, FieldTable({{u"x-max-length"_s, 3}}));
    QCOMPARE(t.record.confirmed().bindings(Engine::Binding::Destination::Queue).front().arguments,
             FieldTable({{u"region"_s, u"eu"_s}}));
}

void tst_TopologyRecord::bindingsThatDifferInOneFieldAreTwo_data()
{
    QTest::addColumn<int>("field");
    int field = 0;
    for (const char *name : {"kind", "destination", "source", "routing key", "arguments"})
        QTest::newRow(name) << field++;
}

void tst_TopologyRecord::bindingsThatDifferInOneFieldAreTwo()
{
    QFETCH(const int, field);
    TopologyStory t;
    const Engine::Binding first = t.queueBinding(u"a"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}});
    const std::array<Engine::Binding, 5> others{
        Engine::Binding{Engine::Binding::Destination::Exchange, first.destination, first.source, first.routingKey,
                        first.arguments, first.encodedArguments},
        t.queueBinding(u"b"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}}), t.queueBinding(u"a"_s, u"y"_s, u"k"_s, {{u"h"_s, 1}}),
        t.queueBinding(u"a"_s, u"x"_s, u"l"_s, {{u"h"_s, 1}}), t.queueBinding(u"a"_s, u"x"_s, u"k"_s, {{u"h"_s, 2}})};
    const Engine::Binding &second = others.at(size_t(field));
    t.bind(first);
    t.bind(second);
    QCOMPARE(t.contents().size(), 2);
    t.bind(first); // again
    QCOMPARE(t.contents().size(), 2);
    t.unbind(first);
    QVERIFY(!t.record.confirmed().contains(first));
    QVERIFY(t.record.confirmed().contains(second));
    t.unbind(first); // is not an error
    t.unbind(second);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::argumentsOfOtherTypesAreOtherArguments()
{
    TopologyStory t;
    t.bind(t.queueBinding(u"q"_s, u"x"_s, {}, {{u"h"_s, 1}}));
    t.bind(t.queueBinding(u"q"_s, u"x"_s, {}, {{u"h"_s, qint64(1)}}));
    QCOMPARE(t.contents().size(), 2);
    t.unbind(t.queueBinding(u"q"_s, u"x"_s, {}, {{u"h"_s, 1}}));
    QCOMPARE(
        t.record.confirmed().bindings(Engine::Binding::Destination::Queue).front().arguments.value(u"h"_s).typeId(),
        int(QMetaType::LongLong));
}

void tst_TopologyRecord::deletedQueueTakesItsBindingsAlong()
{
    TopologyStory t;
    t.exchange(u"x"_s);
    t.queue(u"a"_s);
    t.queue(u"b"_s);
    for (const QString &queue : {u"a"_s, u"b"_s}) {
        t.bind(t.queueBinding(queue, u"x"_s, u"1"_s));
        t.bind(t.queueBinding(queue, u"amq.topic"_s, u"2"_s));
    }
    t.bind(t.exchangeBinding(u"a"_s, u"x"_s)); // an exchange that has the name of the queue
    t.deleteQueue(u"a"_s);
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"b"_s, u"a<x"_s, u"b<x 1"_s, u"b<amq.topic 2"_s}));
}

void tst_TopologyRecord::deletedExchangeTakesItsBindingsAlong()
{
    TopologyStory t;
    t.exchange(u"x"_s);
    t.exchange(u"y"_s);
    t.queue(u"x"_s); // a queue that has the name of the exchange
    t.bind(t.queueBinding(u"x"_s, u"x"_s));
    t.bind(t.queueBinding(u"x"_s, u"y"_s));
    t.bind(t.exchangeBinding(u"x"_s, u"y"_s));
    t.bind(t.exchangeBinding(u"y"_s, u"x"_s));
    t.deleteExchange(u"x"_s);
    QCOMPARE(t.contents(), QStringList({u"y"_s, u"x"_s, u"x<y"_s}));
}

void tst_TopologyRecord::entitiesOfOthersMayBeBoundAndDeleted()
{
    TopologyStory t;
    t.bind(t.queueBinding(u"theirs"_s, u"their exchange"_s));
    t.bind(t.queueBinding(u"also theirs"_s, u"their exchange"_s));
    t.deleteQueue(u"theirs"_s);
    QCOMPARE(t.contents(), QStringList{u"also theirs<their exchange"_s});
    t.deleteExchange(u"their exchange"_s);
    t.deleteExchange(u"unknown"_s);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::autoDeleteExchangeGoesWithItsLastBinding()
{
    TopologyStory t;
    t.exchange(u"x"_s, true);
    t.queue(u"q"_s);
    t.bind(t.queueBinding(u"q"_s, u"x"_s, u"1"_s));
    t.bind(t.exchangeBinding(u"amq.fanout"_s, u"x"_s));
    t.unbind(t.queueBinding(u"q"_s, u"x"_s, u"1"_s));
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"q"_s, u"amq.fanout<x"_s}));
    t.unbind(t.exchangeBinding(u"amq.fanout"_s, u"x"_s));
    QCOMPARE(t.contents(), QStringList{u"q"_s});
}

void tst_TopologyRecord::autoDeleteExchangeWithoutABindingStays()
{
    TopologyStory t;
    t.exchange(u"x"_s, true);
    t.exchange(u"y"_s, true);
    t.bind(t.exchangeBinding(u"x"_s, u"amq.topic"_s)); // x is the destination
    t.unbind(t.exchangeBinding(u"x"_s, u"amq.topic"_s));
    t.unbind(t.queueBinding(u"q"_s, u"y"_s)); // was never bound
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"y"_s}));
}

void tst_TopologyRecord::autoDeleteCascades()
{
    TopologyStory t;
    t.exchange(u"kept"_s);
    for (const QString &name : {u"first"_s, u"second"_s, u"third"_s})
        t.exchange(name, true);
    t.queue(u"q"_s, {.autoDelete = true});
    t.bind(t.exchangeBinding(u"first"_s, u"kept"_s));
    t.bind(t.exchangeBinding(u"second"_s, u"first"_s));
    t.bind(t.exchangeBinding(u"third"_s, u"second"_s));
    t.bind(t.queueBinding(u"q"_s, u"third"_s));
    const auto consumer = t.consume(u"q"_s);
    QCOMPARE(t.contents().size(), 9);
    t.record.consumerEnded(consumer, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList{u"kept"_s});
}

void tst_TopologyRecord::longCascadesEnd()
{
    constexpr int Length = 20'000;
    TopologyStory t;
    for (int i = 0; i < Length; ++i) {
        t.exchange(u"x%1"_s.arg(i), true);
        if (i > 0)
            t.bind(t.exchangeBinding(u"x%1"_s.arg(i), u"x%1"_s.arg(i - 1)));
    }
    t.bind(t.queueBinding(u"q"_s, u"x%1"_s.arg(Length - 1)));
    QCOMPARE(t.contents().size(), 2 * Length);
    t.deleteQueue(u"q"_s);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::circlesOfExchangesEnd()
{
    TopologyStory t;
    t.exchange(u"x"_s, true);
    t.exchange(u"y"_s, true);
    t.bind(t.exchangeBinding(u"x"_s, u"y"_s));
    t.bind(t.exchangeBinding(u"y"_s, u"x"_s));
    t.bind(t.exchangeBinding(u"x"_s, u"x"_s));
    t.deleteExchange(u"x"_s);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::autoDeleteQueueGoesWithItsLastConsumer()
{
    TopologyStory t;
    t.queue(u"q"_s, {.autoDelete = true});
    t.bind(t.queueBinding(u"q"_s, u"amq.topic"_s));
    const auto first = t.consume(u"q"_s);
    const auto second = t.consume(u"q"_s);
    t.fail(t.expect(Engine::ConsumerStart{{u"q"_s}}));
    t.record.consumerEnded(first, EndOfConsumer::Ended);
    t.record.consumerEnded(first, EndOfConsumer::Ended); // ends once only
    QCOMPARE(t.contents(), QStringList({u"q"_s, u"q<amq.topic"_s}));
    t.record.consumerEnded(second, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList());
}

void tst_TopologyRecord::autoDeleteQueueWithoutAConsumerStays()
{
    TopologyStory t;
    t.queue(u"q"_s, {.autoDelete = true});
    t.fail(t.expect(Engine::ConsumerStart{{u"q"_s}}));
    t.record.consumerEnded(t.lastCall, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList{u"q"_s});
}

void tst_TopologyRecord::consumerThatIsOlderThanTheDeclarationCounts()
{
    TopologyStory t;
    const auto older = t.consume(u"q"_s); // another connection has declared the queue
    t.queue(u"q"_s, {.autoDelete = true});
    t.record.consumerEnded(older, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList());
}

void tst_TopologyRecord::otherQueuesOutliveTheirConsumers()
{
    TopologyStory t;
    t.queue(u"q"_s, {.exclusive = true});
    for (const auto how : {EndOfConsumer::Ended, EndOfConsumer::CancelledByBroker})
        t.record.consumerEnded(t.consume(u"q"_s), how);
    t.record.consumerEnded(t.consume(u"theirs"_s), EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList{u"q"_s});
}

void tst_TopologyRecord::brokersCancelRemovesOnlyCertainly_data()
{
    QTest::addColumn<bool>("exclusive");
    QTest::addColumn<bool>("autoDelete");
    QTest::addColumn<bool>("isRemoved");
    QTest::newRow("exclusive, auto-delete") << true << true << true;
    QTest::newRow("exclusive") << true << false << false;
    QTest::newRow("auto-delete") << false << true << false; // its node may have failed
    QTest::newRow("neither") << false << false << false;
}

void tst_TopologyRecord::brokersCancelRemovesOnlyCertainly()
{
    QFETCH(const bool, exclusive);
    QFETCH(const bool, autoDelete);
    QFETCH(const bool, isRemoved);
    TopologyStory t;
    t.queue(u"q"_s, {.exclusive = exclusive, .autoDelete = autoDelete});
    const auto first = t.consume(u"q"_s);
    const auto last = t.consume(u"q"_s);
    t.record.consumerEnded(first, EndOfConsumer::CancelledByBroker);
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    t.record.consumerEnded(last, EndOfConsumer::CancelledByBroker);
    QCOMPARE(t.contents().isEmpty(), isRemoved);
    if (!isRemoved) { // a later consumer counts again
        t.record.consumerEnded(t.consume(u"q"_s), EndOfConsumer::Ended);
        QCOMPARE(t.contents().isEmpty(), autoDelete);
    }
}

void tst_TopologyRecord::endOfAnOldConsumerLeavesANewQueueAlone()
{
    TopologyStory t;
    t.queue(u"q"_s, QueueOptions::temporary());
    const auto consumer = t.consume(u"q"_s);
    t.deleteQueue(u"q"_s);
    t.queue(u"q"_s, QueueOptions::temporary());
    t.record.consumerEnded(consumer, EndOfConsumer::CancelledByBroker); // because of the deletion
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    const auto next = t.consume(u"q"_s);
    t.record.consumerEnded(next, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList());
}

void tst_TopologyRecord::consumersStartAgainAfterALoss()
{
    TopologyStory t;
    t.queue(u"q"_s, QueueOptions::temporary());
    const auto first = t.consume(u"q"_s);
    t.consume(u"q"_s);
    t.record.connectionLost();
    t.record.consumerEnded(first, EndOfConsumer::Ended); // too late
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    const auto again = t.consume(u"q"_s);
    t.record.connectionLost(); // before the other one has started again
    QCOMPARE(t.contents(), QStringList{u"q"_s});
    Q_UNUSED(again)
    const auto one = t.consume(u"q"_s);
    t.record.consumerEnded(one, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList{u"q"_s}); // the other one is still awaited
    const auto other = t.consume(u"q"_s);
    t.record.consumerEnded(other, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList());
}

void tst_TopologyRecord::queueOfAbandonedConsumersGoes()
{
    TopologyStory t;
    t.exchange(u"x"_s, true);
    t.queue(u"q"_s, QueueOptions::temporary());
    t.queue(u"unused"_s, QueueOptions::temporary());
    t.bind(t.queueBinding(u"q"_s, u"x"_s));
    t.consume(u"q"_s);
    t.consume(u"q"_s);
    t.record.consumerAbandoned(u"q"_s); // none is awaited
    t.record.connectionLost();
    t.record.consumerAbandoned(u"q"_s);
    t.record.consumerAbandoned(u"unused"_s);
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"q"_s, u"unused"_s, u"q<x"_s}));
    t.record.consumerAbandoned(u"q"_s);
    QCOMPARE(t.contents(), QStringList{u"unused"_s});
}

void tst_TopologyRecord::declarationUnderWayIsRecordedOnce()
{
    TopologyStory t;
    const auto declaring = t.expect(Engine::DeclaredQueue{{}, QueueOptions::temporary()});
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding({}, u"x"_s), declaring});
    t.record.connectionLost(); // the calls are sent again
    QVERIFY(t.record.confirmed().isEmpty());
    t.record.connectionLost();
    t.confirm(declaring, t.infoOf(u"amq.gen-1"_s));
    t.confirm(binding);
    QCOMPARE(t.contents(), QStringList({u"amq.gen-1"_s, u"amq.gen-1<x"_s}));
}

void tst_TopologyRecord::bindingToAQueueWithoutANameGetsItsName()
{
    TopologyStory t;
    const auto declaring = t.expect(Engine::DeclaredQueue{{}, QueueOptions::temporary()});
    Engine::Binding byName = t.queueBinding({}, u"x"_s);
    byName.keyIsQueueName = true;
    const auto binding = t.expect(
        Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding({}, u"x"_s, u"k"_s), declaring});
    const auto bindingByName = t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, byName, declaring});
    const auto consuming = t.expect(Engine::ConsumerStart{{{}, declaring}});
    const auto otherDeclaring = t.expect(Engine::DeclaredQueue{{}, {}}); // before the answers
    t.confirm(declaring, t.infoOf(u"amq.gen-1"_s));
    t.confirm(binding);
    t.confirm(bindingByName);
    t.confirm(consuming);
    t.confirm(otherDeclaring, t.infoOf(u"amq.gen-2"_s));
    QCOMPARE(t.contents(),
             QStringList({u"amq.gen-1"_s, u"amq.gen-2"_s, u"amq.gen-1<x k"_s, u"amq.gen-1<x amq.gen-1"_s}));
    QVERIFY(t.record.confirmed().queue(u"amq.gen-1"_s)->isNamedByBroker);
    const auto deleting = t.expect(Engine::QueueDeletion{{{}, otherDeclaring}}); // its name was known
    t.fail(deleting);
    t.record.consumerEnded(consuming, EndOfConsumer::Ended);
    QCOMPARE(t.contents(), QStringList{u"amq.gen-2"_s});
}

void tst_TopologyRecord::callsForAFailedDeclarationAreDropped()
{
    TopologyStory t;
    const auto declaring = t.expect(Engine::DeclaredQueue{{}, {}});
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding({}, u"x"_s), declaring});
    t.fail(declaring);
    t.fail(binding);
    QVERIFY(t.record.confirmed().isEmpty());
    // A broker that breaks the rules adds nothing either.
    const auto unnamed = t.expect(Engine::DeclaredQueue{{}, {}});
    const auto bound =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding({}, u"x"_s), unnamed});
    t.confirm(unnamed, t.infoOf({}));
    t.confirm(bound);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::inspectedQueueNamesItsBindings()
{
    TopologyStory t;
    const auto inspecting = ++t.lastCall; // queue.declare with passive and without a name; not recorded
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding({}, u"x"_s), inspecting});
    t.confirm(inspecting, t.infoOf(u"q"_s));
    t.confirm(binding);
    QCOMPARE(t.contents(), QStringList{u"q<x"_s});
}

void tst_TopologyRecord::renamedQueueKeepsItsBindings()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s);
    t.queue(u"other"_s);
    t.bind(t.queueBinding(u"amq.gen-1"_s, u"x"_s, u"1"_s));
    t.bind(t.queueBinding(u"other"_s, u"x"_s, u"amq.gen-1"_s));
    t.bind(t.queueBinding(u"amq.gen-1"_s, u"x"_s, u"2"_s));
    t.record.queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    t.record.queueRenamed(u"unknown"_s, u"also unknown"_s);
    QCOMPARE(t.contents(),
             QStringList({u"amq.gen-2"_s, u"other"_s, u"amq.gen-2<x 1"_s, u"other<x amq.gen-1"_s, u"amq.gen-2<x 2"_s}));
    t.record.queueRenamed(u"amq.gen-2"_s, u"amq.gen-3"_s); // the second outage
    t.deleteQueue(u"amq.gen-3"_s);
    QCOMPARE(t.contents(), QStringList({u"other"_s, u"other<x amq.gen-1"_s}));
}

void tst_TopologyRecord::keyFollowsTheNameOnlyIfItWasTheName()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s);
    Engine::Binding byName = t.queueBinding(u"amq.gen-1"_s, u"x"_s, u"amq.gen-1"_s);
    byName.keyIsQueueName = true;
    t.bind(byName);
    t.bind(t.queueBinding(u"amq.gen-1"_s, u"y"_s, u"amq.gen-1"_s)); // a key of the application
    t.record.queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    QCOMPARE(t.contents(), QStringList({u"amq.gen-2"_s, u"amq.gen-2<x amq.gen-2"_s, u"amq.gen-2<y amq.gen-1"_s}));
}

void tst_TopologyRecord::callsUnderWayFollowARename()
{
    TopologyStory t;
    t.queueNamedByBroker(u"amq.gen-1"_s, QueueOptions::temporary());
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding(u"amq.gen-1"_s, u"x"_s)});
    const auto consuming = t.expect(Engine::ConsumerStart{{u"amq.gen-1"_s}});
    const auto deleting = t.expect(Engine::QueueDeletion{{u"amq.gen-1"_s}});
    t.record.connectionLost();
    t.record.queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    t.record.queueRenamed(u"amq.gen-2"_s, u"amq.gen-3"_s);
    t.confirm(binding);
    t.confirm(consuming);
    QCOMPARE(t.contents(), QStringList({u"amq.gen-3"_s, u"amq.gen-3<x"_s}));
    t.confirm(deleting);
    QVERIFY(t.record.confirmed().isEmpty());
}

void tst_TopologyRecord::namesThatGoInCirclesEnd()
{
    TopologyStory t;
    t.queueNamedByBroker(u"1"_s);
    const auto binding =
        t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind, t.queueBinding(u"1"_s, u"x"_s)});
    t.record.queueRenamed(u"1"_s, u"2"_s);
    t.record.queueRenamed(u"2"_s, u"1"_s);
    t.record.queueRenamed(u"1"_s, u"1"_s);
    t.confirm(binding);
    QCOMPARE(t.contents(), QStringList({u"1"_s, u"1<x"_s}));
}

void tst_TopologyRecord::queuesThatComeAndGoLeaveNothing()
{
    TopologyStory t;
    t.exchange(u"replies"_s);
    for (int i = 0; i < 1'000; ++i) {
        const QString name = u"request-%1"_s.arg(i);
        t.queue(name, {.exclusive = true, .autoDelete = i % 2 == 0});
        t.bind(t.queueBinding(name, u"replies"_s, name));
        t.record.consumerEnded(t.consume(name), EndOfConsumer::Ended);
        t.deleteQueue(name);
    }
    QCOMPARE(t.contents(), QStringList{u"replies"_s});
}

QTEST_APPLESS_MAIN(tst_TopologyRecord)
#include "tst_topologyrecord.moc"
