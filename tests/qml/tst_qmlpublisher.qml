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

            url: test.url
            active: true
            Publisher { id: publisher; routingKey: queue.declaredName }
            Queue { id: queue }
            Consumer { queue: queue; ackMode: Amqp.NoAck; onDelivered: message => system.messages.push(message) }
        }
    }
    Component { id: spies; SignalSpy {} }

    function createOpen() {
        const system = createTemporaryObject(systems, testCase)
        tryVerify(() => system.publisher.writable, 30000)
        return system
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

    function test_whatIsNoJsonIsRefused_data() {
        const cyclic = {}
        cyclic.self = cyclic
        return [{ tag: "function", body: () => 1 }, { tag: "undefined", body: undefined }, { tag: "symbol", body: Symbol("x") },
                { tag: "cyclic", body: cyclic }]
    }
    function test_whatIsNoJsonIsRefused(data) {
        const system = createOpen()
        ignoreWarning(/tst_qmlpublisher.qml:\d+:\d+: QML Publisher: The body cannot be sent/)
        compare(system.publisher.publish(data.body), 0)
        verify(system.publisher.errorString.includes("The body cannot be sent"))
        roundTrip(system, "after")
        compare(system.messages.length, 1)
    }

    function test_optionsAreChecked_data() {
        return [{ tag: "unknown", options: { routeKey: "a" } }, { tag: "read only", options: { deliveryTag: 5 } },
                { tag: "negative", options: { expiration: -1 } },
                { tag: "too long", options: { routingKey: "x".repeat(256) } },
                { tag: "no AMQP type", options: { headers: { x: NaN } } }]
    }
    function test_optionsAreChecked(data) {
        const system = createOpen()
        ignoreWarning(/QML Publisher: /)
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

    function test_waitsForWhatItNeeds() {
        const system = createTemporaryObject(systems, testCase)
        verify(!system.publisher.writable)
        system.queue.name = test.uniqueName("early")
        system.queue.exclusive = true
        const id = system.publisher.publish("early", { routingKey: system.queue.name })
        compare(id, 1)
        tryVerify(() => system.messages.length === 1, 30000)
        compare(system.messages[0].text, "early")
    }

    function test_withoutAConnectionItRefuses() {
        const system = createOpen()
        system.active = false
        tryCompare(system.publisher, "writable", false, 30000)
        ignoreWarning(/There is no connection/)
        compare(system.publisher.publish("text"), 0)
        compare(system.publisher.errorString, "There is no connection")
        system.active = true
        tryCompare(system.publisher, "writable", true, 30000)
        compare(system.publisher.errorString, "")
    }

    function test_missingExchangeIsToldAndSparesTheOthers() {
        const system = createOpen()
        ignoreWarning(/NOT_FOUND - no exchange/)
        system.publisher.publish("lost", { exchange: test.uniqueName("none") })
        tryVerify(() => system.publisher.errorString.includes("NOT_FOUND"), 30000)
        verify(system.connected)
        tryCompare(system.publisher, "writable", true, 30000)
        roundTrip(system, "again")
    }

    function test_mandatoryMessagesComeBack() {
        const system = createOpen()
        const spy = createTemporaryObject(spies, testCase, { target: system.publisher, signalName: "returned" })
        system.publisher.mandatory = true
        system.publisher.publish("nowhere", { routingKey: test.uniqueName("none") })
        tryCompare(spy, "count", 1, 30000)
        compare(spy.signalArguments[0][0].text, "nowhere")
        compare(spy.signalArguments[0][1].replyCode, 312)
    }
}
