// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

// Elements that change while their calls are waiting or unanswered.
TestCase {
    id: testCase
    name: "TopologyChanges"
    when: windowShown

    Component {
        id: pairs
        Connection {
            property alias first: first
            property alias second: second
            property alias publisher: publisher

            active: true
            Queue { id: first; durable: false; exclusive: true }
            Queue { id: second; durable: false; exclusive: true }
            Publisher { id: publisher; persistent: false }
        }
    }
    Component {
        id: bound
        Connection {
            id: boundConnection
            property alias queue: queue
            property alias binding: binding
            property alias publisher: publisher
            property var keys: []

            active: true
            Queue {
                id: queue
                QueueBinding { id: binding; exchangeName: "amq.topic" }
            }
            Consumer {
                queue: queue
                ackMode: Amqp.AfterDelivery
                onDelivered: message => boundConnection.keys.push(message.exchange + " " + message.routingKey)
            }
            Publisher { id: publisher; mandatory: false; persistent: false }
        }
    }
    Component { id: queues; Queue {} }
    Component { id: bindings; QueueBinding {} }
    Component { id: connections; Connection { active: true } }
    Component { id: spies; SignalSpy {} }

    function create(component, properties) {
        const object = createTemporaryObject(component, testCase, properties)
        verify(object)
        return object
    }

    // Creates two elements whose queues "a" and "b" hold five messages each and also exist in `broker`.
    function createFilledPair(url) {
        const pair = create(pairs, { url: url })
        const broker = create(connections, { url: test.url })
        const names = []
        const others = []
        for (const prefix of ["a", "b"]) {
            const queue = create(queues, { connection: broker, name: test.uniqueName(prefix), durable: false,
                                           arguments: { "x-expires": 60000 } })
            tryCompare(queue, "declaredName", queue.name, 30000)
            names.push(queue.name)
            others.push(queue)
        }
        for (const element of [pair.first, pair.second]) {
            element.exclusive = false
            element.arguments = { "x-expires": 60000 }
        }
        tryVerify(() => pair.first.declaredName && pair.second.declaredName && pair.publisher.writable, 30000)
        for (let i = 0; i < 5; ++i)
            names.forEach(name => pair.publisher.publish("x", { routingKey: name }))
        tryCompare(pair.publisher, "outstanding", 0, 30000)
        return { pair: pair, names: names, others: others }
    }
    function tryCounts(others, counts) {
        tryVerify(() => {
            others.forEach(queue => queue.refresh())
            return others.map(queue => queue.messageCount).join() === counts
        }, 30000)
    }
    // Checks that the counts do not change. All earlier calls are finished once another call has been answered.
    function compareCounts(pair, others, counts) {
        const spy = create(spies, { target: create(queues, { connection: pair }), signalName: "declared" })
        tryCompare(spy, "count", 1, 30000)
        tryCounts(others, counts)
    }

    function test_purgeMeansTheQueueThatTheElementHasThen_data() {
        return [{ tag: "near", delay: 0 }, { tag: "far", delay: 50 }]
    }
    function test_purgeMeansTheQueueThatTheElementHasThen(data) {
        const filled = createFilledPair(data.delay ? test.delayedUrl(data.delay) : test.url)
        filled.pair.first.name = filled.names[0]
        filled.pair.second.name = filled.names[1]
        filled.pair.first.purge()
        compareCounts(filled.pair, filled.others, "0,5")
        compare(filled.pair.first.errorString + filled.pair.second.errorString, "")
    }

    function test_callsMeanTheQueueFromBeforeARename() {
        const filled = createFilledPair(test.delayedUrl(50))
        filled.pair.first.name = filled.names[0]
        filled.pair.first.purge()
        filled.pair.first.name = filled.names[1]
        tryCompare(filled.pair.first, "declaredName", filled.names[1], 30000)
        compareCounts(filled.pair, filled.others, "0,5")
        compare(filled.pair.first.messageCount, 5)
        compare(filled.pair.first.errorString, "")
    }

    function test_removeMeansTheQueueThatTheElementHasThen() {
        const filled = createFilledPair(test.delayedUrl(50))
        filled.pair.first.name = filled.names[0]
        filled.pair.second.name = filled.names[1]
        filled.pair.first.remove()
        filled.pair.first.name = ""
        tryVerify(() => filled.pair.first.declaredName && filled.pair.second.declaredName, 30000)
        ignoreWarning(/NOT_FOUND - no queue/)
        const spy = create(spies, { target: filled.others[0], signalName: "declared" }) // declares it again
        tryVerify(() => { filled.others[0].refresh(); return spy.count === 1 }, 30000)
        tryCounts(filled.others, "0,5")
        compare(filled.pair.second.messageCount, 5)
        verify(filled.pair.first.declaredName.startsWith("amq.gen-"))
    }

    function test_countsAreThoseOfTheQueue() {
        const filled = createFilledPair(test.delayedUrl(50))
        const element = filled.pair.first
        element.name = filled.names[0]
        tryCompare(element, "messageCount", 5, 30000)
        const spy = create(spies, { target: element, signalName: "declared" })
        element.refresh()
        element.name = test.uniqueName("empty")
        compare(element.messageCount, 0)
        tryCompare(element, "declaredName", element.name, 30000)
        compare(element.messageCount, 0)
        compare(spy.count, 1)
        compare(spy.signalArguments[0][0].name, element.name)
    }

    function test_resultsOfFormerNamesChangeNothing() {
        const connection = create(connections, { url: test.delayedUrl(50) })
        const queue = create(queues, { connection: connection, name: test.uniqueName("first"), durable: false, exclusive: true })
        tryVerify(() => queue.declaredName, 30000)
        const names = []
        queue.declaredNameChanged.connect(() => names.push(queue.declaredName))
        const spy = create(spies, { target: queue, signalName: "declared" })
        queue.name = test.uniqueName("second")
        wait(20) // sent, not answered
        queue.name = test.uniqueName("third")
        tryCompare(queue, "declaredName", queue.name, 30000)
        compare(names.join(), "," + queue.name)
        compare(spy.count, 1)
    }

    function test_purgeWaitsForTheNameOfTheBroker() {
        const system = create(pairs, { url: test.delayedUrl(50) })
        const named = test.uniqueName("named")
        system.second.name = named
        tryVerify(() => system.first.declaredName && system.second.declaredName === named && system.publisher.writable, 30000)
        system.publisher.publish("x", { routingKey: named })
        tryCompare(system.publisher, "outstanding", 0, 30000)
        system.reconnect() // the exclusive queues are gone; each element declares its queue again
        tryVerify(() => !system.connected, 30000)
        tryVerify(() => system.connected, 30000)
        system.second.declared.connect(() => system.publisher.publish("y", { routingKey: named }))
        system.first.purge() // the broker has not named it yet
        tryVerify(() => system.first.declaredName && system.second.declaredName, 30000)
        tryVerify(() => { system.second.refresh(); return system.second.messageCount === 1 }, 30000)
        compareCounts(system, [system.second], "1")
        compare(system.first.errorString, "")
    }

    function test_nothingIsPurgedIfTheDeclarationFails() {
        const filled = createFilledPair(test.url)
        filled.pair.second.name = filled.names[1]
        tryCompare(filled.pair.second, "messageCount", 5, 30000)
        ignoreWarning(/PRECONDITION_FAILED/)
        ignoreWarning(/The queue is not declared/)
        filled.pair.first.name = filled.names[0]
        filled.pair.first.maximumLength = 7
        filled.pair.first.purge()
        tryCompare(filled.pair.first, "errorString", "The queue is not declared", 30000)
        compareCounts(filled.pair, filled.others, "5,5")
    }

    function test_rejectedCallSparesTheOthers() {
        const filled = createFilledPair(test.delayedUrl(20))
        filled.pair.second.name = filled.names[1]
        tryCompare(filled.pair.second, "messageCount", 5, 30000)
        ignoreWarning(/PRECONDITION_FAILED/)
        ignoreWarning(/NOT_FOUND/)
        const refused = create(queues, { connection: filled.pair, name: filled.names[0], durable: true })
        filled.pair.second.purge()
        const missing = create(queues, { connection: filled.pair, name: test.uniqueName("none"), passive: true })
        filled.pair.first.name = filled.names[0]
        tryCompare(filled.pair.first, "declaredName", filled.names[0], 30000)
        tryVerify(() => refused.errorString.includes("PRECONDITION_FAILED") && missing.errorString.includes("NOT_FOUND"), 30000)
        compareCounts(filled.pair, filled.others, "5,0")
        compare(filled.pair.first.errorString + filled.pair.second.errorString, "")
    }

    function test_callsLostWithTheConnectionReportAnError() {
        const connection = create(connections, { url: test.delayedUrl(50) })
        const queue = create(queues, { connection: connection })
        tryVerify(() => queue.declaredName, 30000)
        ignoreWarning(/connection/)
        queue.purge()
        connection.active = false
        tryVerify(() => queue.errorString !== "", 30000)
    }

    function test_manyRefreshesAreOne() {
        const connection = create(connections, { url: test.delayedUrl(50) })
        const queue = create(queues, { connection: connection })
        tryVerify(() => queue.declaredName, 30000)
        for (let i = 0; i < 1000; ++i)
            queue.refresh()
        const before = connection.statistics.bytesOut
        const spy = create(spies, { target: create(queues, { connection: connection }), signalName: "declared" })
        tryCompare(spy, "count", 1, 30000)
        tryVerify(() => connection.statistics.bytesOut > before, 30000)
        verify(connection.statistics.bytesOut - before < 1000, connection.statistics.bytesOut - before)
    }

    function test_passiveQueueNeedsAName() {
        ignoreWarning(/A passive queue needs a name/)
        const connection = create(connections, { url: test.url })
        const other = create(queues, { connection: connection, name: test.uniqueName("other"), durable: false, exclusive: true })
        const queue = create(queues, { connection: connection, passive: true })
        tryCompare(queue, "errorString", "A passive queue needs a name", 30000)
        tryCompare(other, "declaredName", other.name, 30000)
        compare(queue.declaredName, "")
    }

    // Returns the keys of `all` that are bound to the queue.
    function boundKeys(system, all) {
        system.keys = []
        for (const one of all) {
            const [exchange, key] = one.split(" ")
            system.publisher.publish("x", { exchange: exchange, routingKey: key })
        }
        system.publisher.publish("last", { exchange: "", routingKey: system.queue.declaredName })
        tryVerify(() => system.keys.length && system.keys[system.keys.length - 1].startsWith(" "), 30000)
        return system.keys.slice(0, -1).join()
    }
    function tryBound(system, all, wanted) {
        tryVerify(() => system.connected && system.queue.declaredName, 30000)
        tryVerify(() => boundKeys(system, all) === wanted, 30000)
        compare(system.binding.errorString, "")
    }

    function test_onlyTheLastOfManyKeysIsBound_data() {
        return [{ tag: "at once", delay: 0, pause: 0 }, { tag: "5 ms", delay: 30, pause: 5 },
                { tag: "100 ms", delay: 60, pause: 100 }, { tag: "slower than the broker", delay: 0, pause: 50 }]
    }
    function test_onlyTheLastOfManyKeysIsBound(data) {
        const system = create(bound, { url: data.delay ? test.delayedUrl(data.delay) : test.url })
        system.binding.routingKey = "#"
        tryBound(system, ["amq.topic any"], "amq.topic any")
        const keys = ["k", "ke", "key", "key.w", "key.wo", "key.word"]
        for (const key of keys) {
            system.binding.routingKey = key
            if (data.pause)
                wait(data.pause)
        }
        const all = keys.concat("any").map(key => "amq.topic " + key)
        tryBound(system, all, "amq.topic key.word")
    }

    function test_onlyTheLastOfManyExchangesIsBound() {
        const system = create(bound, { url: test.delayedUrl(30) })
        system.binding.routingKey = "k"
        tryBound(system, ["amq.topic k"], "amq.topic k")
        for (const exchange of ["amq.direct", "amq.fanout", "amq.topic", "amq.direct", "amq.fanout"]) {
            system.binding.exchangeName = exchange
            system.binding.routingKey += "k"
            wait(10)
        }
        system.binding.routingKey = "end"
        tryBound(system, ["amq.topic k", "amq.topic end", "amq.direct kk", "amq.direct end", "amq.topic kkkk", "amq.fanout x"],
                 "amq.fanout x")
    }

    function test_bindingMayReturnToAFormerKey() {
        const system = create(bound, { url: test.delayedUrl(30) })
        system.binding.routingKey = "a"
        tryBound(system, ["amq.topic a"], "amq.topic a")
        for (const key of ["b", "a", "b", "a"]) {
            system.binding.routingKey = key
            wait(45)
        }
        tryBound(system, ["amq.topic a", "amq.topic b"], "amq.topic a")
    }

    function test_changesWhileTheConnectionIsClosed() {
        const system = create(bound, { url: test.delayedUrl(30) })
        system.queue.name = test.uniqueName("stays")
        system.queue.durable = false
        system.queue.exclusive = false
        system.queue.arguments = { "x-expires": 60000 }
        system.binding.routingKey = "a"
        tryBound(system, ["amq.topic a"], "amq.topic a")
        system.binding.routingKey = "b"
        wait(10)
        system.active = false // the answer to the binding is lost
        tryCompare(system, "connected", false, 30000)
        system.binding.routingKey = "c"
        system.binding.exchangeName = "amq.direct"
        system.active = true
        tryBound(system, ["amq.topic a", "amq.topic b", "amq.topic c", "amq.direct a", "amq.direct c"], "amq.direct c")
    }

    function test_changesOfTheQueueToo() {
        const system = create(bound, { url: test.delayedUrl(30) })
        const name = test.uniqueName("home")
        system.queue.exclusive = true
        system.queue.durable = false
        system.queue.name = name
        system.binding.routingKey = "a"
        tryBound(system, ["amq.topic a"], "amq.topic a")
        system.queue.name = test.uniqueName("away")
        system.binding.routingKey = "b"
        tryBound(system, ["amq.topic a", "amq.topic b"], "amq.topic b")
        system.queue.name = name // changed back, with another key
        system.binding.routingKey = "c"
        tryBound(system, ["amq.topic a", "amq.topic b", "amq.topic c"], "amq.topic c")
    }

    function test_destroyedElementLeavesOneBinding() {
        const system = create(bound, { url: test.delayedUrl(50) })
        system.binding.routingKey = "a"
        const other = bindings.createObject(system.queue, { exchangeName: "amq.topic", routingKey: "b" })
        tryBound(system, ["amq.topic a", "amq.topic b"], "amq.topic a,amq.topic b")
        other.routingKey = "c"
        wait(20) // the new binding is unanswered
        test.deleteNow(other)
        tryBound(system, ["amq.topic a", "amq.topic b", "amq.topic c"], "amq.topic a,amq.topic c")
    }

    function test_elementsMayShareABinding() {
        const system = create(bound, { url: test.delayedUrl(30) })
        system.binding.routingKey = "a"
        const other = bindings.createObject(system.queue, { exchangeName: "amq.topic", routingKey: "b" })
        tryBound(system, ["amq.topic a", "amq.topic b"], "amq.topic a,amq.topic b")
        other.routingKey = "a" // both elements represent the same binding
        tryBound(system, ["amq.topic a", "amq.topic b"], "amq.topic a")
        system.binding.routingKey = "c" // the binding of the other element stays
        tryBound(system, ["amq.topic a", "amq.topic b", "amq.topic c"], "amq.topic a,amq.topic c")
        other.routingKey = "c" // the last element removes the binding
        tryBound(system, ["amq.topic a", "amq.topic b", "amq.topic c"], "amq.topic c")
        // The elements swap their keys.
        other.routingKey = "d"
        tryBound(system, ["amq.topic c", "amq.topic d"], "amq.topic c,amq.topic d")
        system.binding.routingKey = "d"
        other.routingKey = "c"
        tryBound(system, ["amq.topic c", "amq.topic d"], "amq.topic c,amq.topic d")
    }

    function test_missingExchangeKeepsTheFormerBinding() {
        const system = create(bound, { url: test.url })
        system.binding.routingKey = "a"
        tryBound(system, ["amq.topic a"], "amq.topic a")
        ignoreWarning(/NOT_FOUND - no exchange/)
        system.binding.exchangeName = "there.is.none"
        tryVerify(() => system.binding.errorString.includes("there.is.none"), 30000)
        compare(boundKeys(system, ["amq.topic a"]), "amq.topic a")
        system.binding.exchangeName = "amq.direct"
        tryBound(system, ["amq.topic a", "amq.direct a"], "amq.direct a")
    }
}
