// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

// Handlers that throw, with Amqp.AfterDelivery.
TestCase {
    id: testCase
    name: "Handlers"
    when: windowShown

    Component {
        id: systems
        Connection {
            id: system
            property alias consumer: consumer
            property alias queue: queue
            property alias publisher: publisher
            property var broken: null
            property var texts: []
            readonly property string failing: broken ? broken.missing.name : ""
            signal arrived(var message)

            url: test.url
            active: true
            Queue { id: queue; name: test.uniqueName("handlers"); exclusive: true; durable: false }
            Consumer { id: consumer; queue: queue; ackMode: Amqp.AfterDelivery; dispatchInterval: 1 }
            Publisher { id: publisher; routingKey: queue.declaredName }
        }
    }
    Component { id: elements; Connections { function onDelivered(message) { testCase.handle(message) } } }
    Component { id: batchElements; Connections { function onBatchDelivered(messages) { testCase.handleBatch(messages) } } }
    Component {
        id: declared
        Consumer { ackMode: Amqp.AfterDelivery; onDelivered: message => testCase.handle(message) }
    }

    property var seen: []

    function init() { seen = [] }
    function createOpen() {
        const system = createTemporaryObject(systems, testCase)
        tryVerify(() => system.publisher.writable && system.consumer.subscribed, 30000)
        return system
    }
    function handle(message) {
        seen.push(message.text)
        if (message.text === "bad")
            throw new Error("broken")
    }
    function handleBatch(messages) {
        for (const message of messages)
            handle(message)
    }
    function publish(system, texts) {
        for (const text of texts)
            system.publisher.publish(text)
    }
    function tryReady(system, count) {
        tryVerify(() => { system.queue.refresh(); return system.queue.messageCount === count }, 30000)
    }

    function test_messageOfAHandlerThatThrowsStaysUnsettled_data() {
        return [{ tag: "connect", connect: system => system.consumer.delivered.connect(testCase.handle) },
                { tag: "Connections", connect: system => createTemporaryObject(elements, system, { target: system.consumer }) },
                { tag: "two handlers", connect: system => {
                      system.consumer.delivered.connect(testCase.handle)
                      system.consumer.delivered.connect(message => {})
                  } },
                { tag: "beside a batch", connect: system => {
                      system.consumer.delivered.connect(testCase.handle)
                      system.consumer.batchDelivered.connect(messages => {})
                  } },
                { tag: "by another signal", connect: system => {
                      system.arrived.connect(testCase.handle)
                      system.consumer.delivered.connect(system.arrived)
                  } }]
    }
    function test_messageOfAHandlerThatThrowsStaysUnsettled(data) {
        const system = createOpen()
        ignoreWarning(/Error: broken/)
        ignoreWarning(/QML Consumer: A handler threw an exception/)
        data.connect(system)
        publish(system, ["good", "bad", "good"])
        tryVerify(() => seen.length === 3 && system.consumer.unackedCount === 1, 30000)
        verify(system.consumer.errorString.includes("threw an exception"))
        system.consumer.active = false
        tryReady(system, 1)
    }

    function test_declaredHandler() {
        const system = createOpen()
        system.consumer.active = false
        const consumer = createTemporaryObject(declared, system, { queueName: system.queue.name, connection: system })
        ignoreWarning(/Error: broken/)
        ignoreWarning(/QML Consumer: A handler threw an exception/)
        publish(system, ["bad", "good"])
        tryVerify(() => seen.length === 2 && consumer.unackedCount === 1, 30000)
        consumer.active = false
        tryReady(system, 1)
    }

    function test_batchOfAHandlerThatThrowsStaysUnsettled_data() {
        return [{ tag: "connect", connect: system => system.consumer.batchDelivered.connect(testCase.handleBatch) },
                { tag: "Connections", connect: system => createTemporaryObject(batchElements, system, { target: system.consumer }) }]
    }
    function test_batchOfAHandlerThatThrowsStaysUnsettled(data) {
        const system = createOpen()
        ignoreWarning(/Error: broken/)
        ignoreWarning(/QML Consumer: A handler threw an exception/)
        data.connect(system)
        publish(system, ["bad"])
        tryVerify(() => seen.length === 1 && system.consumer.errorString !== "", 30000)
        publish(system, ["good"])
        tryVerify(() => seen.length === 2 && system.consumer.unackedCount === 1, 30000)
        system.consumer.active = false
        tryReady(system, 1)
    }

    function test_errorOfABindingIsNotThatOfTheHandler() {
        const system = createOpen()
        ignoreWarning(/TypeError/)
        system.consumer.delivered.connect(message => {
            seen.push(message.text)
            system.broken = {}
        })
        publish(system, ["good", "good"])
        tryVerify(() => seen.length === 2 && system.consumer.unackedCount === 0, 30000)
        compare(system.consumer.errorString, "")
        system.consumer.active = false
        tryReady(system, 0)
    }

    function test_settledBeforeItThrows() {
        const system = createOpen()
        ignoreWarning(/Error: broken/)
        ignoreWarning(/QML Consumer: A handler threw an exception/)
        system.consumer.delivered.connect(message => {
            message.ack()
            handle(message)
        })
        publish(system, ["bad", "good"])
        tryVerify(() => seen.length === 2 && system.consumer.unackedCount === 0, 30000)
        system.consumer.active = false
        tryReady(system, 0)
    }

    function test_othersGoOnAndTheMessageComesBackLater() {
        const system = createOpen()
        ignoreWarning(/Error: broken/)
        ignoreWarning(/QML Consumer: A handler threw an exception/)
        const redelivered = []
        system.consumer.delivered.connect(message => {
            redelivered.push(message.redelivered)
            if (!message.redelivered)
                handle(message)
        })
        publish(system, ["bad"])
        tryVerify(() => system.consumer.unackedCount === 1 && seen.length === 1, 30000)
        system.consumer.active = false
        tryVerify(() => !system.consumer.subscribed, 30000)
        system.consumer.active = true
        tryVerify(() => redelivered.length === 2 && system.consumer.unackedCount === 0, 30000)
        compare(redelivered.join(), "false,true")
    }
}
