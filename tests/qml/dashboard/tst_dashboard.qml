// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtTest
import AmqpQt
import Dashboard

// The window of the example, with generated readings, in the states and sizes that users see.
Item {
    Connection {
        id: broker
        url: test.url
        active: true
        Exchange { id: sensors; name: "sensors"; type: Exchange.Topic }
        Queue { id: published; QueueBinding { exchange: sensors; routingKey: "sensor.9.*" } }
        Consumer { id: reader; queue: published; ackMode: Amqp.AfterDelivery }
        Publisher { id: publisher; exchange: sensors.name; mandatory: false }
    }
    SignalSpy { id: read; target: reader; signalName: "delivered" }
    Timer {
        property int count: 0
        running: publisher.writable
        interval: 20
        repeat: true
        onTriggered: {
            const quantity = ["temperature", "humidity", "pressure"][count % 3]
            publisher.publish({ value: 1000 + count % 50, unit: "hPa" },
                { routingKey: "sensor.%1.%2".arg(1 + count++ % 4).arg(quantity), timestamp: new Date(),
                  headers: { "x-site": "roof", "x-raw": new ArrayBuffer(3) } })
        }
    }

    Main {
        id: window
        brokerUrl: test.url

        TestCase {
            name: "dashboard"
            when: windowShown

            // The visible items below this one, to which the predicate applies.
            function visibleItems(item, predicate) {
                if (!item.visible)
                    return []
                return Array.from(item.children).reduce((found, child) => found.concat(visibleItems(child, predicate)),
                                                        predicate(item) ? [item] : [])
            }
            function root() {
                let item = window.contentItem
                while (item.parent)
                    item = item.parent
                return item
            }
            function shows(text) {
                return visibleItems(root(), item => item instanceof Text && item.text.search(text) >= 0).length > 0
            }
            function waitForText(text) {
                tryVerify(() => shows(text), 30000, "the window shows " + text)
            }
            function shownTexts(item) {
                return visibleItems(item, child => child instanceof Text && child.text !== "")
            }
            function textsBeyond(item, width) {
                return shownTexts(item).map(text => ({ text: text.text, right: text.mapToItem(item, text.paintedWidth, 0).x }))
                    .filter(text => text.right > width).map(text => text.text + " ends at " + text.right + " of " + width)
            }
            // Layouts place a tile that a reading has just added with the next frame only.
            function compareSettled(faults) {
                tryCompare({ get list() { return faults().join("\n") } }, "list", "")
            }
            function resize(width, height) {
                window.width = width
                window.height = height
                tryCompare(window, "width", width)
                waitForRendering(window.contentItem)
            }

            function initTestCase() {
                window.requestActivate()
                tryCompare(window, "active", true, 30000)
            }
            function init() {
                failOnWarning(/.*/)
                resize(1280, 800)
                waitForText(/^sensor\.1\./)
            }
            function cleanup() {
                keyClick(Qt.Key_Escape)
                window.page = 0
            }

            function test_noTextIsCut_data() {
                return [
                    { tag: "phone", width: 375, height: 667 }, { tag: "tablet", width: 800, height: 600 },
                    { tag: "laptop", width: 1280, height: 800 }, { tag: "desk", width: 1920, height: 1080 }
                ]
            }
            function test_noTextIsCut(data) {
                resize(data.width, data.height)
                for (const page of data.width < 840 ? [0, 1, 2] : [0]) {
                    window.page = page
                    verify(shownTexts(root()).length > 5)
                    compareSettled(() => shownTexts(root()).filter(item => item.truncated).map(item => item.text))
                    compareSettled(() => textsBeyond(root(), data.width))
                }
            }
            function test_tileHoldsLongReading() { // named so that it runs late, since the tile stays
                publisher.publish({ value: 1234567890123.5, unit: "units with a long name" },
                    { routingKey: "sensor.77.quantity-with-a-long-name-without-end" })
                waitForText(/^Quantity-with/)
                for (const width of [1280, 375]) {
                    resize(width, 800)
                    compareSettled(() => visibleItems(root(), item => item instanceof SensorTile)
                        .reduce((faults, tile) => faults.concat(textsBeyond(tile, tile.width)), []))
                }
            }
            function test_readingWithoutNumberHasNoValue() {
                publisher.publish("on", { routingKey: "sensor.78.switch" })
                waitForText(/^–$/)
                verify(!shows(/^No value for [0-9]{3,}/))
            }
            function test_narrowWindowShowsOnePage() {
                verify(shows(/^Message rate$/) && shows(/^Routing key$/) && shows(/^or Ctrl\+Enter$/))
                resize(375, 667)
                verify(shows(/^Message rate$/) && !shows(/^Routing key$/) && !shows(/^or Ctrl\+Enter$/))
                window.page = 1
                verify(!shows(/^Message rate$/) && shows(/^Routing key$/) && !shows(/^or Ctrl\+Enter$/))
                window.page = 2
                verify(!shows(/^Message rate$/) && !shows(/^Routing key$/) && shows(/^or Ctrl\+Enter$/))
            }
            function test_selectingShowsDetailsAndEscapeClosesThem_data() {
                return [{ tag: "desk", width: 1280 }, { tag: "phone", width: 375 }]
            }
            function test_selectingShowsDetailsAndEscapeClosesThem(data) {
                resize(data.width, 700)
                window.page = 1
                window.selectedRow = 0
                waitForText(/^x-site$/)
                waitForText(/paused|^Exchange$/)
                keyClick(Qt.Key_Escape)
                compare(window.selectedRow, -1)
                verify(!shows(/^x-site$/) && !shows(/paused/))
            }
            function test_headersWithBytesAreReadable() {
                window.selectedRow = 0
                waitForText(/^3 bytes$/)
            }
            function test_arrowsMoveTheSelection() {
                window.selectedRow = 0
                visibleItems(root(), item => item instanceof TableView)[0].forceActiveFocus()
                keyClick(Qt.Key_Down)
                compare(window.selectedRow, 1)
                keyClick(Qt.Key_Up)
                compare(window.selectedRow, 0)
                keyClick(Qt.Key_Up)
                compare(window.selectedRow, 0)
            }
            function test_controlFFiltersAndEscapeShowsAllAgain_data() {
                return [{ tag: "desk", width: 1280 }, { tag: "phone", width: 375 }]
            }
            function test_controlFFiltersAndEscapeShowsAllAgain(data) {
                resize(data.width, 700)
                keyClick(Qt.Key_F, Qt.ControlModifier)
                for (const letter of "nobody")
                    keyClick(letter)
                compare(window.activeFocusItem.text, "nobody")
                waitForText(/^No message matches the filter$/)
                keyClick(Qt.Key_Escape)
                compare(window.activeFocusItem.text, "")
                waitForText(/^sensor\.[1-4]\./)
            }
            function test_controlEnterPublishes() {
                read.clear()
                keyClick(Qt.Key_Return, Qt.ControlModifier)
                read.wait(30000)
                compare(read.signalArguments[0][0].routingKey, "sensor.9.temperature")
                waitForText(/^The broker has confirmed the message$/)
                waitForText(/^[0-9,]+ ms$/)
            }
            function test_controlCommaShowsTheSettings() {
                keyClick(Qt.Key_Comma, Qt.ControlModifier)
                waitForText(/^Waiting to be written$/)
                keyClick(Qt.Key_Escape)
                tryVerify(() => !shows(/^Waiting to be written$/), 30000)
            }
            function test_bannerNamesTheReasonOfALostConnection() {
                window.brokerUrl = "amqp://127.0.0.1:1"
                waitForText(/^There is no connection to 127\.0\.0\.1: .*refused.*Next attempt in [0-9]+ s/)
                waitForText(/^Not connected$/)
                resize(375, 667)
                tryVerify(() => visibleItems(root(), item => item instanceof Text && item.truncated).length === 0, 30000)
                window.brokerUrl = test.url
                waitForText(/^Connected$/)
                tryVerify(() => !shows(/refused|Not connected/), 30000)
            }
            function test_windowGoesOnAfterAnOutage() {
                window.brokerUrl = test.unreliableUrl()
                tryVerify(() => test.unreliableCount() === 1, 30000)
                waitForText(/^Connected$/)
                waitForText(/^sensor\.1\./)
                test.setReachable(false)
                waitForText(/^The connection to 127\.0\.0\.1 is lost: .*Next attempt in [0-9]+ s\.$/)
                waitForText(/^Reconnecting$/)
                verify(shows(/^sensor\.1\./)) // what has arrived stays
                const button = visibleItems(root(), item => item instanceof FlatButton && item.text === "Connect now")[0]
                test.setReachable(true)
                mouseClick(button)
                waitForText(/^Connected$/)
                tryVerify(() => !shows(/is lost|Not connected/), 30000)
                waitForText(/^or Ctrl\+Enter$/)
                read.clear()
                keyClick(Qt.Key_Return, Qt.ControlModifier)
                read.wait(30000)
                waitForText(/^The broker has confirmed the message$/)
                window.brokerUrl = test.url
                waitForText(/^Connected$/)
            }
            function test_bannerShowsThatTheBrokerBlocks() {
                if (!test.setMemoryAlarm(true))
                    skip("the broker cannot be configured")
                tryVerify(() => broker.blocked, 60000)
                keyClick(Qt.Key_Return, Qt.ControlModifier)
                waitForText(/^The broker accepts no messages$/)
                waitForText(/^Blocked$/)
                verify(test.setMemoryAlarm(false))
                tryVerify(() => !shows(/^The broker accepts no messages$/), 60000)
                waitForText(/^Connected$/)
            }
        }
    }
}
