// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Models"
    when: windowShown
    width: 300
    height: 300

    Component {
        id: systems
        Item {
            property alias broker: broker
            property alias consumer: consumer
            property alias publisher: publisher
            property alias messages: messages
            property alias latest: latest
            property alias history: history
            property alias view: view

            anchors.fill: parent
            Connection {
                id: broker
                url: test.url
                active: true
                Queue { id: queue; QueueBinding { exchangeName: "amq.topic"; routingKey: "#" } }
                Consumer { id: consumer; queue: queue; ackMode: Amqp.AfterDelivery }
                Publisher { id: publisher; exchange: "amq.topic" }
            }
            MessageModel {
                id: messages
                consumer: consumer
                maximumCount: 3
                updateInterval: 1
                columns: ["routingKey", "json.value", "text"]
            }
            LatestValueModel {
                id: latest
                consumer: consumer
                keyColumn: "routingKey"
                columns: ["routingKey", "json.value"]
                updateInterval: 1
            }
            RateHistory { id: history; consumer: consumer; samples: 4; interval: 20 }
            ListView {
                id: view
                anchors.fill: parent
                model: messages
                delegate: Text {
                    required property var display
                    required property string routingKey
                    required property var message
                    text: display + " " + routingKey + " " + message.text
                }
            }
        }
    }
    Component {
        id: pairs
        Item {
            id: pair
            property alias broker: broker
            property alias first: first
            property alias second: second
            property alias publisher: publisher
            property alias messages: messages
            property alias latest: latest
            property alias history: history
            property int changes: 0

            Connection {
                id: broker
                url: test.url
                active: true
                Queue { id: one; QueueBinding { exchangeName: "amq.topic"; routingKey: "pair.one" } }
                Queue { id: two; QueueBinding { exchangeName: "amq.topic"; routingKey: "pair.two" } }
                Consumer { id: first; queue: one; ackMode: Amqp.AfterDelivery }
                Consumer { id: second; queue: two; ackMode: Amqp.AfterDelivery }
                Publisher { id: publisher; exchange: "amq.topic" }
            }
            MessageModel { id: messages; consumers: [first, second]; updateInterval: 1; onConsumersChanged: ++pair.changes }
            LatestValueModel { id: latest; consumers: [first, second]; updateInterval: 1 }
            RateHistory { id: history; consumers: [first, second]; interval: 20 }
        }
    }
    Component { id: latestModels; LatestValueModel {} }
    Component { id: messageModels; MessageModel {} }
    Component { id: histories; RateHistory {} }

    function createOpen() {
        const system = createTemporaryObject(systems, testCase)
        tryVerify(() => system.consumer.subscribed && system.publisher.writable, 30000)
        return system
    }
    function cell(model, row, column) {
        return model.data(model.index(row, column))
    }

    function test_viewShowsTheNewestFirst() {
        const system = createOpen()
        for (let i = 0; i < 5; ++i)
            system.publisher.publish({ value: i }, { routingKey: "k" + i })
        tryCompare(system.messages, "totalCount", 5, 30000)
        tryCompare(system.messages, "count", 3, 30000)
        tryVerify(() => cell(system.messages, 0, 0) === "k4", 30000)
        compare(cell(system.messages, 2, 0), "k2")
        compare(system.messages.get(0).json("value"), 4)
        tryCompare(system.view, "count", 3)
        tryVerify(() => system.view.itemAtIndex(0) && system.view.itemAtIndex(0).text === "k4 k4 {\"value\":4}", 30000)
        tryCompare(system.consumer, "unackedCount", 0, 30000)
    }

    function test_invalidJsonIsAnEmptyCell() {
        const system = createOpen()
        system.publisher.publish("{ no json", { routingKey: "k", contentType: "application/json" })
        tryCompare(system.messages, "count", 1, 30000)
        verify(!cell(system.messages, 0, 1))
        compare(cell(system.messages, 0, 2), "{ no json")
        tryCompare(system.latest, "count", 1, 30000)
        verify(!cell(system.latest, 0, 1))
    }

    function test_latestValueHasARowPerKey() {
        const system = createOpen()
        for (let i = 0; i < 6; ++i)
            system.publisher.publish({ value: i }, { routingKey: i % 2 ? "odd" : "even" })
        tryVerify(() => system.latest.count === 2 && cell(system.latest, 1, 1) == 5 && cell(system.latest, 0, 1) == 4, 30000)
        compare(cell(system.latest, 0, 0), "even")
        compare(cell(system.latest, 1, 0), "odd")
        compare(system.latest.get(1).text, "{\"value\":5}")
        system.latest.keyColumn = "json.value"
        compare(system.latest.count, 0)
        system.publisher.publish({ value: 7 }, { routingKey: "even" })
        tryCompare(system.latest, "count", 1, 30000)
    }

    function test_latestValueIsBounded() {
        const system = createOpen()
        system.latest.maximumCount = 2
        ignoreWarning(/maximumCount: there are more than 2 keys/)
        for (const key of ["a", "b", "c", "a"])
            system.publisher.publish(key, { routingKey: key })
        tryCompare(system.messages, "totalCount", 4, 30000)
        tryCompare(system.latest, "count", 2, 30000)
        system.latest.clear()
        compare(system.latest.count, 0)
    }

    function test_unknownColumnsAreReported() {
        ignoreWarning(/columns: "nonsense" is not a column of a message/)
        const messages = createTemporaryObject(messageModels, testCase, { columns: ["text", "nonsense"] })
        compare(messages.columns.length, 2)
        ignoreWarning(/columns: "nonsense" is not a column of a message/)
        ignoreWarning(/keyColumn: "worse" is not a column of a message/)
        const latest = createTemporaryObject(latestModels, testCase, { columns: ["nonsense"], keyColumn: "worse" })
        compare(latest.columnCount(), 1)
    }

    function test_negativeNumbersChangeNothing() {
        const latest = createTemporaryObject(latestModels, testCase)
        ignoreWarning(/updateInterval: -1 ms is out of range; the minimum is 0 ms/)
        latest.updateInterval = -1
        ignoreWarning(/maximumCount: 0 is out of range; the minimum is 1/)
        latest.maximumCount = 0
        compare(latest.updateInterval, 50)
        compare(latest.maximumCount, 10000)
        const history = createTemporaryObject(histories, testCase)
        ignoreWarning(/samples: 1 is out of range; the minimum is 2/)
        history.samples = 1
        ignoreWarning(/interval: 0 ms is out of range; the minimum is 1 ms/)
        history.interval = 0
        compare(history.samples, 60)
        compare(history.interval, 1000)
    }

    function test_rateHistoryDrawsALine() {
        const system = createOpen()
        tryVerify(() => {
            system.publisher.publish("tick", { routingKey: "tick" })
            return system.history.values.length === 4 && system.history.maximum > 0
        }, 30000)
        const line = system.history.polyline(90, 10)
        compare(line.length, 4)
        compare(line[0].x, 0)
        compare(line[3].x, 90)
        compare(Math.min(...line.map(point => point.y)), 0)
        verify(line.every(point => point.y >= 0 && point.y <= 10))
    }

    function test_severalConsumersShareAModel() {
        const pair = createTemporaryObject(pairs, testCase)
        const models = [pair.messages, pair.latest, pair.history]
        for (const model of models) {
            compare(model.consumers.length, 2)
            compare(model.consumers[1], pair.second)
            compare(model.consumer, pair.first)
        }
        tryVerify(() => pair.first.subscribed && pair.second.subscribed && pair.publisher.writable, 30000)
        for (const key of ["pair.one", "pair.two"])
            pair.publisher.publish(key, { routingKey: key })
        tryCompare(pair.messages, "totalCount", 2, 30000)
        tryCompare(pair.latest, "count", 2, 30000)
        tryVerify(() => pair.history.maximum > 0, 30000)

        // Replaces both consumers with a single one.
        const changes = pair.changes
        for (const model of models) {
            model.consumer = pair.second
            compare(model.consumers.length, 1)
            compare(model.consumers[0], pair.second)
        }
        compare(pair.changes, changes + 1)
        compare(pair.history.values.length, 0)
        pair.publisher.publish("one", { routingKey: "pair.one" })
        pair.publisher.publish("two", { routingKey: "pair.two" })
        tryCompare(pair.messages, "totalCount", 3, 30000)
        tryVerify(() => pair.messages.get(0).text === "two", 30000)
        tryVerify(() => pair.history.maximum > 0, 30000)

        // Deleted consumers are removed from the list, and a consumer counts once.
        for (const model of models) {
            model.consumers = [pair.second, pair.first, pair.second]
            compare(model.consumers.length, 2)
        }
        test.deleteNow(pair.second)
        for (const model of models) {
            compare(model.consumers.length, 1)
            compare(model.consumer, pair.first)
            model.consumer = undefined
            compare(model.consumers.length, 0)
        }
    }

    // A rate is counted without receiving the messages.
    function test_rateHistoryTakesNoMessages() {
        const pair = createTemporaryObject(pairs, testCase)
        pair.messages.consumer = null
        pair.latest.consumer = null
        tryVerify(() => pair.first.subscribed && pair.publisher.writable, 30000)
        pair.publisher.publish("waits", { routingKey: "pair.one" })
        tryVerify(() => pair.history.maximum > 0, 30000)
        tryCompare(pair.first, "unackedCount", 1, 30000)
        pair.messages.consumer = pair.first
        tryCompare(pair.messages, "count", 1, 30000)
        tryCompare(pair.first, "unackedCount", 0, 30000)
    }

    function test_modelsOutliveTheirConsumer() {
        const system = createOpen()
        system.publisher.publish("stays", { routingKey: "k" })
        tryCompare(system.messages, "count", 1, 30000)
        test.deleteNow(system.consumer)
        compare(system.messages.consumer, null)
        compare(system.messages.get(0).text, "stays")
        test.deleteNow(system.broker)
        compare(system.latest.count, 1)
    }
}
