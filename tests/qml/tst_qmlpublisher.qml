// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Publisher"
    when: windowShown

    Component {
        id: systems
        Connection {
            id: system
            property alias queue: queue
            property alias publisher: publisher
            property var messages: []
            property var settlements: []

            url: test.url
            active: true
            Publisher {
                id: publisher
                routingKey: queue.declaredName
                onSettled: (id, error) => system.settlements.push({ id: id, kind: error.kind })
            }
            Queue { id: queue }
            Consumer { queue: queue; ackMode: Amqp.NoAck; onDelivered: message => system.messages.push(message) }
        }
    }
    Component { id: publishers; Publisher { connection: null } }
    Component {
        id: tellingPublishers
        Publisher {
            property var settlements: []
            onSettled: (id, error) => settlements.push({ id: id, kind: error.kind })
        }
    }
    Component {
        id: limitedQueues
        Queue { arguments: ({ "x-max-length": 1, "x-overflow": "reject-publish" }) }
    }
    Component { id: spies; SignalSpy {} }

    function createOpen() {
        const system = createTemporaryObject(systems, testCase)
        tryVerify(() => system.publisher.writable, 30000)
        return system
    }
    function spyOn(target, name) {
        return createTemporaryObject(spies, testCase, { target: target, signalName: name })
    }
    // Records the outcome of a promise.
    function watch(promise) {
        const end = { resolved: false, value: null, rejected: null }
        promise.then(value => { end.resolved = true; end.value = value }, reason => { end.rejected = reason })
        return end
    }
    function roundTrip(system, body, options) {
        const count = system.messages.length
        verify(system.publisher.publish(body, options ?? {}) > 0, system.publisher.errorString)
        tryVerify(() => system.messages.length === count + 1, 30000)
        return system.messages[count]
    }

    function test_bodies() {
        const system = createOpen()
        let message = roundTrip(system, "Grüße")
        compare(message.text, "Grüße")
        compare(message.contentType, "text/plain")
        compare(message.persistent, true)

        message = roundTrip(system, new Uint8Array([0, 255, 7]).buffer)
        compare(message.contentType, "")
        const bytes = new Uint8Array(message.body)
        compare(Array.from(bytes).join(), "0,255,7")

        message = roundTrip(system, [1, null, { a: true }])
        compare(message.text, "[1,null,{\"a\":true}]")
        compare(message.contentType, "application/json")
        compare(roundTrip(system, 4.5).text, "4.5")
        compare(roundTrip(system, null).text, "null")
        compare(roundTrip(system, false).text, "false")
        compare(roundTrip(system, "").text, "")

        system.publisher.contentType = "text/x-mine"
        system.publisher.persistent = false
        message = roundTrip(system, "text")
        compare(message.contentType, "text/x-mine")
        compare(message.persistent, false)
        compare(roundTrip(system, "text", { contentType: "text/html" }).contentType, "text/html")
    }

    function test_valuesThatAreNoJsonAreRejected_data() {
        const cyclic = {}
        cyclic.self = cyclic
        return [{ tag: "function", body: () => 1 }, { tag: "undefined", body: undefined }, { tag: "symbol", body: Symbol("x") },
                { tag: "cyclic", body: cyclic }]
    }
    function test_valuesThatAreNoJsonAreRejected(data) {
        const system = createOpen()
        ignoreWarning(/tst_qmlpublisher.qml:\d+:\d+: QML Publisher: The body cannot be sent/)
        compare(system.publisher.publish(data.body), 0)
        verify(system.publisher.errorString.includes("The body cannot be sent"))
        roundTrip(system, "after")
        compare(system.messages.length, 1)
    }

    function test_optionsAreChecked_data() {
        return [{ tag: "unknown", options: { routeKey: "a" } }, { tag: "read only", options: { deliveryTag: 5 } },
                { tag: "negative", options: { expiration: -1 } }, { tag: "no number", options: { expiration: "soon" } },
                { tag: "high priority", options: { priority: 256 } }, { tag: "low priority", options: { priority: -2 } },
                { tag: "priority of words", options: { priority: "high" } }, { tag: "no priority", options: { priority: NaN } },
                { tag: "before 1970", options: { timestamp: new Date(-1) } },
                { tag: "no time", options: { timestamp: new Date(NaN) } },
                { tag: "too long", options: { routingKey: "x".repeat(256) } },
                { tag: "no AMQP type", options: { headers: { x: NaN } } }]
    }
    function test_optionsAreChecked(data) {
        const system = createOpen()
        ignoreWarning(/tst_qmlpublisher.qml:\d+:\d+: QML Publisher: /)
        compare(system.publisher.publish("text", data.options), 0)
        verify(system.publisher.errorString !== "")
        roundTrip(system, "after")
        compare(system.messages.length, 1)
    }

    function test_numbersItsMessages() {
        const system = createOpen()
        compare(system.publisher.publish("a"), 1)
        compare(system.publisher.publish("b"), 2)
    }

    function test_waitsForItsDeclarations() {
        const system = createTemporaryObject(systems, testCase)
        verify(!system.publisher.writable)
        system.queue.name = test.uniqueName("early")
        system.queue.exclusive = true
        const id = system.publisher.publish("early", { routingKey: system.queue.name })
        compare(id, 1)
        tryVerify(() => system.messages.length === 1, 30000)
        compare(system.messages[0].text, "early")
    }

    function test_withoutAConnectionPublishFails() {
        const publisher = createTemporaryObject(publishers, testCase)
        ignoreWarning(/There is no connection/)
        compare(publisher.publish("text"), 0)
        compare(publisher.errorString, "There is no connection")
        compare(publisher.writable, false)
        compare(publisher.pressure, 1)
        const promise = watch(publisher.publishWithReply("text"))
        tryVerify(() => promise.rejected, 30000)
        compare(promise.rejected.message, "There is no connection")
    }

    function test_outboxIsForTheTimeWithoutConnection() {
        const system = createOpen()
        const publisher = system.publisher
        system.active = false
        tryCompare(publisher, "writable", false, 30000)
        const outstanding = spyOn(publisher, "outstandingChanged")
        const pressure = spyOn(publisher, "pressureChanged")
        publisher.outboxLimit = 3000
        for (let i = 0; i < 2; ++i)
            verify(publisher.publish("x".repeat(1000), { routingKey: "nowhere", mandatory: false }) > 0)
        tryVerify(() => outstanding.count > 0 && pressure.count > 0, 30000)
        compare(publisher.outstanding, 2)
        verify(publisher.pressure > 0.8 && publisher.pressure < 1)
        ignoreWarning(/QML Publisher: the outbox holds/)
        compare(publisher.publish("x".repeat(1000)), 0)
        verify(publisher.errorString.includes("outbox"))

        system.active = true
        tryCompare(publisher, "outstanding", 0, 30000)
        tryCompare(publisher, "writable", true, 30000)
        compare(publisher.pressure, 0)
        compare(publisher.errorString, "")
        compare(system.settlements.map(settlement => settlement.kind), [Amqp.NoError, Amqp.NoError])
    }

    function test_withoutAnOutboxPublishFailsUntilItIsWritable() {
        const system = createTemporaryObject(systems, testCase)
        system.publisher.outboxLimit = 0
        compare(system.publisher.pressure, 1)
        ignoreWarning(/QML Publisher: .*outboxLimit is 0/)
        compare(system.publisher.publish("text"), 0)
        tryCompare(system.publisher, "writable", true, 30000)
        roundTrip(system, "text")
    }

    function test_blockedBrokerIsNotWritable() {
        const system = createOpen()
        verify(test.setMemoryAlarm(true))
        try {
            system.publisher.publish("1") // the broker reports it at the first publish
            tryCompare(system.publisher, "writable", false, 30000)
            verify(system.publisher.publish("2") > 0)
        } finally {
            test.setMemoryAlarm(false)
        }
        tryCompare(system.publisher, "writable", true, 30000)
        tryCompare(system.publisher, "outstanding", 0, 30000)
        tryCompare(system.messages, "length", 2, 30000)
    }

    function test_windowLimitsUnconfirmedMessages() {
        const system = createOpen()
        const publisher = system.publisher
        publisher.window = 2
        const writable = spyOn(publisher, "writableChanged")
        const outstanding = spyOn(publisher, "outstandingChanged")
        const drained = spyOn(publisher, "drained")
        publisher.publish("1")
        compare(publisher.writable, true)
        for (let i = 2; i <= 5; ++i)
            publisher.publish(String(i))
        compare(publisher.writable, false)
        compare(publisher.outstanding, 5)
        verify(publisher.pressure > 0.5)
        tryCompare(drained, "count", 1, 30000)
        compare(publisher.outstanding, 0)
        tryCompare(publisher, "writable", true, 30000)
        verify(writable.count >= 2)
        verify(outstanding.count >= 2)
        compare(system.settlements.map(settlement => settlement.id), [1, 2, 3, 4, 5])
    }

    function test_limitsAreChecked() {
        const publisher = createTemporaryObject(publishers, testCase)
        ignoreWarning(/window: 0 is out of range; the range is 1 to/)
        publisher.window = 0
        compare(publisher.window, 1000)
        ignoreWarning(/outboxLimit: -1 is out of range; the range is 0 to/)
        publisher.outboxLimit = -1
        compare(publisher.outboxLimit, 16777216)
    }

    function test_everyMessageIsSettledOnce() {
        const system = createOpen()
        const limited = createTemporaryObject(limitedQueues, testCase, { connection: system })
        tryVerify(() => limited.declaredName !== "", 30000)
        system.publisher.publish("taken")
        system.publisher.publish("no route", { routingKey: test.uniqueName("none") })
        system.publisher.publish("fits", { routingKey: limited.declaredName })
        system.publisher.publish("too much", { routingKey: limited.declaredName })
        system.publisher.publish("dropped", { routingKey: test.uniqueName("none"), mandatory: false })
        tryCompare(system.publisher, "outstanding", 0, 30000)
        tryCompare(system.settlements, "length", 5, 30000)
        const kinds = {}
        for (const settlement of system.settlements)
            kinds[settlement.id] = settlement.kind
        compare(kinds, { 1: Amqp.NoError, 2: Amqp.Returned, 3: Amqp.NoError, 4: Amqp.Nacked, 5: Amqp.NoError })
        compare(system.publisher.errorString, "")
    }

    function test_promisesEndWithTheBrokersAnswer() {
        const system = createOpen()
        const taken = watch(system.publisher.publishWithReply("taken"))
        const lost = watch(system.publisher.publishWithReply("lost", { routingKey: test.uniqueName("none") }))
        const refused = watch(system.publisher.publishWithReply("refused", { routeKey: "a" }))
        tryVerify(() => taken.resolved && lost.rejected && refused.rejected, 30000)
        compare(taken.value, undefined)
        verify(lost.rejected instanceof Error)
        verify(lost.rejected.message.includes("NO_ROUTE"), lost.rejected.message)
        compare(lost.rejected.cause.kind, Amqp.Returned)
        compare(lost.rejected.cause.replyCode, 312)
        verify(refused.rejected.message.includes("routeKey"))
        compare(refused.rejected.cause.kind, Amqp.InvalidArgument)
        compare(system.publisher.errorString, "")
    }

    function test_unhandledErrorsAreInErrorString() {
        const system = createTemporaryObject(systems, testCase)
        const publisher = createTemporaryObject(publishers, testCase, { connection: system })
        tryCompare(publisher, "writable", true, 30000)
        ignoreWarning(/QML Publisher: NO_ROUTE/)
        publisher.publish("lost", { routingKey: test.uniqueName("none") })
        tryVerify(() => publisher.errorString.includes("NO_ROUTE"), 30000)
    }

    function test_newConnectionEndsOutstandingMessages() {
        const first = createTemporaryObject(systems, testCase, { active: false })
        const second = createOpen()
        const publisher = createTemporaryObject(tellingPublishers, testCase, { connection: first })
        const key = second.queue.declaredName
        const early = watch(publisher.publishWithReply("early", { routingKey: key }))
        compare(publisher.outstanding, 1)
        publisher.connection = second
        compare(publisher.outstanding, 0)
        const id = publisher.publish("late", { routingKey: key })
        compare(id, 2)
        tryCompare(publisher.settlements, "length", 2, 30000)
        compare(publisher.settlements, [{ id: 1, kind: Amqp.Unconfirmed }, { id: 2, kind: Amqp.NoError }])
        tryVerify(() => early.rejected, 30000)
        compare(second.messages.map(message => message.text), ["late"])

        publisher.publish("never", { routingKey: key })
        test.deleteNow(second)
        tryCompare(publisher.settlements, "length", 3, 30000)
        compare(publisher.settlements[2].id, 3)
        compare(publisher.outstanding, 0)
        compare(publisher.writable, false)
    }

    function test_promisesEndWithTheirPublisher() {
        const system = createTemporaryObject(systems, testCase, { active: false })
        const publisher = createTemporaryObject(publishers, testCase, { connection: system })
        const promise = watch(publisher.publishWithReply("text"))
        test.deleteNow(publisher)
        tryVerify(() => promise.rejected, 30000)
        compare(promise.rejected.cause.kind, Amqp.Unconfirmed)
    }

    function test_missingExchangeIsReportedAndSparesTheOthers() {
        const system = createOpen()
        const lost = watch(system.publisher.publishWithReply("lost", { exchange: test.uniqueName("none") }))
        tryVerify(() => lost.rejected, 30000)
        verify(lost.rejected.message.includes("NOT_FOUND"))
        verify(system.connected)
        tryCompare(system.publisher, "writable", true, 30000)
        roundTrip(system, "again")
    }

    function test_mandatoryMessagesComeBack() {
        const system = createOpen()
        const spy = spyOn(system.publisher, "returned")
        compare(system.publisher.mandatory, true)
        system.publisher.publish("nowhere", { routingKey: test.uniqueName("none") })
        tryCompare(spy, "count", 1, 30000)
        compare(spy.signalArguments[0][0].text, "nowhere")
        compare(spy.signalArguments[0][1].replyCode, 312)
    }
}
