// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Topology"
    when: windowShown

    // Elements come before the elements that they need.
    Component {
        id: backwards
        Connection {
            id: backward
            property alias consumer: consumer
            property alias queue: queue
            property alias binding: binding
            property alias exchange: exchange
            property alias publisher: publisher
            property var texts: []
            property var declaredQueues: []

            url: test.url
            active: true
            Consumer {
                id: consumer
                queue: queue
                ackMode: Amqp.AfterDelivery
                onDelivered: message => backward.texts.push(message.text)
            }
            Publisher { id: publisher; exchange: exchange.name; routingKey: "a.b" }
            Queue {
                id: queue
                onDeclared: info => backward.declaredQueues.push(info.name)
                QueueBinding { id: binding; exchange: exchange; routingKey: "a.#" }
            }
            Exchange { id: exchange; type: Exchange.Topic; durable: false; autoDelete: true }
        }
    }
    Component {
        id: sameNames
        Connection {
            id: sameName
            property string queueName
            property alias first: first
            property alias second: second
            property alias third: third
            property alias wrong: wrong
            property alias missing: missing
            property alias consumer: consumer

            url: test.url
            active: true
            Exchange { id: wrong; name: "amq.topic"; type: Exchange.Fanout }
            Queue { id: first; name: sameName.queueName; durable: false; exclusive: true }
            Queue { id: second; name: sameName.queueName; durable: false; exclusive: true; maximumLength: 5 }
            Queue {
                id: third
                QueueBinding { id: missing; exchangeName: "there.is.none" }
                QueueBinding { exchangeName: "amq.fanout" }
            }
            Consumer { id: consumer; queue: third }
        }
    }
    Component { id: queues; Queue {} }
    Component { id: exchanges; Exchange {} }
    Component { id: bindings; QueueBinding {} }
    Component { id: consumers; Consumer {} }
    Component { id: connections; Connection {} }
    Component { id: spies; SignalSpy {} }

    function create(component, properties) {
        const object = createTemporaryObject(component, testCase, properties)
        verify(object)
        return object
    }
    function createBackwards() {
        const broker = create(backwards)
        broker.exchange.name = test.uniqueName("exchange")
        tryCompare(broker.consumer, "subscribed", true, 30000)
        return broker
    }

    function test_orderOfDeclarationDoesNotMatter() {
        const broker = createBackwards()
        compare(broker.queue.declaredName.substring(0, 8), "amq.gen-")
        compare(broker.declaredQueues.join(), broker.queue.declaredName)
        compare(broker.exchange.errorString + broker.queue.errorString + broker.binding.errorString
                + broker.consumer.errorString, "")
        broker.publisher.publish("one")
        tryVerify(() => broker.texts.join() === "one", 30000)
    }

    function test_everythingIsThereAgainAfterReopening() {
        const broker = createBackwards()
        const name = broker.queue.declaredName
        broker.reconnect()
        tryVerify(() => broker.consumer.subscribed && broker.queue.declaredName && broker.queue.declaredName !== name, 30000)
        broker.publisher.publish("two")
        tryVerify(() => broker.texts.join() === "two", 30000)
    }

    function test_newRoutingKeyBindsAgain() {
        const broker = createBackwards()
        broker.binding.routingKey = "x.#"
        broker.queue.refresh() // called after the change
        broker.publisher.publish("old")
        const spy = create(spies, { target: broker.queue, signalName: "declared" })
        broker.queue.name = "" // nothing changes
        compare(spy.count, 0)
        tryVerify(() => {
            broker.publisher.publish("new", { routingKey: "x.y" })
            return broker.texts.includes("new")
        }, 30000)
        const before = broker.texts.length
        broker.publisher.publish("old", { routingKey: "a.b" })
        broker.publisher.publish("last", { routingKey: "x.y" })
        tryVerify(() => broker.texts.includes("last"), 30000)
        verify(!broker.texts.slice(before).includes("old"))
    }

    function test_bindingAndConsumerFollowTheQueue() {
        const broker = createBackwards()
        const tag = broker.consumer.consumerTag
        broker.queue.name = test.uniqueName("renamed")
        broker.queue.exclusive = true
        tryVerify(() => broker.queue.declaredName === broker.queue.name && broker.consumer.subscribed, 30000)
        compare(broker.consumer.queueName, broker.queue.name)
        tryVerify(() => {
            broker.publisher.publish("to the new one")
            return broker.texts.includes("to the new one")
        }, 30000)
    }

    function test_bindingFollowsTheExchange() {
        const broker = createBackwards()
        const spy = create(spies, { target: broker.exchange, signalName: "declared" })
        broker.exchange.name = test.uniqueName("other")
        tryCompare(spy, "count", 1, 30000)
        tryVerify(() => {
            broker.publisher.publish("by the other one")
            return broker.texts.includes("by the other one")
        }, 30000)
        compare(broker.exchange.errorString, "")
    }

    function test_errorsStayWithTheirElement() {
        ignoreWarning(/PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic'/)
        ignoreWarning(/PRECONDITION_FAILED - inequivalent arg 'x-max-length'/)
        ignoreWarning(/NOT_FOUND - no exchange 'there.is.none'/)
        const broker = create(sameNames, { queueName: test.uniqueName("same") })
        tryCompare(broker.consumer, "subscribed", true, 30000)
        verify(broker.wrong.errorString.includes("PRECONDITION_FAILED"), broker.wrong.errorString)
        const [there, refused] = broker.first.declaredName ? [broker.first, broker.second] : [broker.second, broker.first]
        compare(there.errorString, "")
        compare(there.declaredName, broker.queueName)
        verify(refused.errorString.includes("x-max-length"), refused.errorString)
        compare(refused.declaredName, "")
        compare(broker.third.errorString, "")
        verify(broker.missing.errorString.includes("NOT_FOUND"), broker.missing.errorString)
        verify(broker.connected)
        // A wrong value can be corrected.
        refused.maximumLength = there.maximumLength < 0 ? undefined : there.maximumLength
        tryCompare(refused, "errorString", "", 30000)
        compare(refused.declaredName, broker.queueName)
        broker.missing.exchangeName = "amq.direct"
        tryCompare(broker.missing, "errorString", "", 30000)
    }

    function test_propertiesOfAQueueArriveAtTheBroker() {
        const connection = create(connections, { url: test.url, active: true })
        const properties = { connection: connection, name: test.uniqueName("all"), exclusive: true, durable: false,
            queueType: "classic", messageTtl: 60000, maximumLength: 3, deadLetterExchange: "amq.fanout",
            arguments: { "x-max-priority": 4 } }
        const queue = create(queues, properties)
        tryCompare(queue, "declaredName", queue.name, 30000)
        // The broker accepts the same queue only with plain arguments.
        const same = create(queues, { connection: connection, name: queue.name, exclusive: true, durable: false,
            arguments: { "x-queue-type": "classic", "x-message-ttl": 60000, "x-max-length": 3,
                         "x-dead-letter-exchange": "amq.fanout", "x-max-priority": 4 } })
        tryCompare(same, "declaredName", queue.name, 30000)
    }

    function test_countsPurgeAndRemove() {
        const broker = createBackwards()
        broker.consumer.active = false
        tryCompare(broker.consumer, "subscribed", false, 30000)
        for (let i = 0; i < 3; ++i)
            broker.publisher.publish("waits")
        tryVerify(() => { broker.queue.refresh(); return broker.queue.messageCount === 3 }, 30000)
        compare(broker.queue.consumerCount, 0)
        broker.queue.purge()
        tryCompare(broker.queue, "messageCount", 0, 30000)
        broker.queue.remove()
        tryCompare(broker.queue, "declaredName", "", 30000)
        ignoreWarning(/The queue is not declared/)
        broker.queue.purge()
        compare(broker.queue.errorString, "The queue is not declared")
    }

    function test_passiveElementsLookOnly() {
        const connection = create(connections, { url: test.url, active: true })
        const exchange = create(exchanges, { connection: connection, name: "amq.direct", passive: true })
        const spy = create(spies, { target: exchange, signalName: "declared" })
        ignoreWarning(/NOT_FOUND - no queue/)
        const queue = create(queues, { connection: connection, name: test.uniqueName("none"), passive: true })
        tryVerify(() => queue.errorString.includes("NOT_FOUND"), 30000)
        compare(spy.count, 1)
    }

    function test_customTypesOfExchanges() {
        const exchange = create(exchanges, { connection: null, type: "x-delayed-message" })
        compare(exchange.type, "x-delayed-message")
        exchange.type = Exchange.Headers
        compare(exchange.type, Exchange.Headers)
        exchange.type = "fanout"
        compare(exchange.type, Exchange.Fanout)
        ignoreWarning(/type: the value is neither an Exchange.Type nor the name of a type/)
        exchange.type = 17
        compare(exchange.type, Exchange.Fanout)
    }

    function test_elementsNeedAConnection_data() {
        return [{ tag: "Exchange", component: exchanges }, { tag: "Queue", component: queues },
                { tag: "Consumer", component: consumers }]
    }
    function test_elementsNeedAConnection(data) {
        ignoreWarning(/tst_qmltopology.qml:\d+:\d+: QML .*: There is no connection/)
        const element = create(data.component, {})
        verify(element.errorString.includes("There is no connection"))
        element.connection = create(connections, {})
        compare(element.errorString, "")
    }

    function test_bindingNeedsAQueue() {
        ignoreWarning(/A QueueBinding must be placed inside a Queue/)
        const connection = create(connections, {})
        const binding = create(bindings, { connection: connection })
        verify(binding.errorString !== "")
    }

    function test_negativeNumbersChangeNothing() {
        const queue = create(queues, { connection: null, messageTtl: 5, maximumLength: 6 })
        ignoreWarning(/messageTtl: -1 is out of range; the range is 0 to/)
        queue.messageTtl = -1
        ignoreWarning(/maximumLength: -7 is out of range; the range is 0 to/)
        queue.maximumLength = -7
        compare(queue.messageTtl, 5)
        compare(queue.maximumLength, 6)
    }

    function test_manyQueuesNeedOneChannel() {
        const connection = create(connections, { url: test.url, active: true })
        const many = []
        for (let i = 0; i < 50; ++i)
            many.push(create(queues, { connection: connection }))
        tryVerify(() => many.every(queue => queue.declaredName !== ""), 30000)
        compare(test.channelCount(connection), 1)
    }

    function test_elementsMayGoInTheirHandlers() {
        const connection = create(connections, { url: test.url, active: true })
        const queue = create(queues, { connection: connection })
        const other = create(queues, { connection: connection })
        queue.declaredNameChanged.connect(() => { test.deleteNow(other); test.deleteNow(queue) })
        const last = create(queues, { connection: connection })
        tryVerify(() => last.declaredName !== "", 30000)
        const doomed = create(connections, { url: test.url, active: true })
        const inner = create(queues, { connection: doomed })
        inner.declared.connect(() => test.deleteNow(doomed))
        tryVerify(() => inner.connection === null, 30000)
        compare(inner.declaredName, "")
    }
}
