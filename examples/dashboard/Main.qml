// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import AmqpQt

ApplicationWindow {
    id: window

    property url brokerUrl: "amqp://guest:guest@localhost/%2F"
    property bool dark: false
    property alias page: tabs.currentIndex              // of a narrow window
    property alias selectedRow: table.selectedRow       // of the table; -1 if there is none
    readonly property bool compact: width < 840         // shows one page at a time, with tabs
    readonly property bool wide: width >= 1500          // shows the details beside the form
    readonly property bool detailed: table.selectedMessage !== undefined

    visible: true
    width: 1280
    height: 800
    minimumWidth: 360
    minimumHeight: 480
    title: qsTr("Sensors")
    color: Theme.background
    palette { window: Theme.background; windowText: Theme.text; text: Theme.text; mid: Theme.control; dark: Theme.control }
    Component.onCompleted: Theme.dark = dark

    Connection {
        id: broker
        url: window.brokerUrl
        active: true

        Exchange { id: sensors; name: "sensors"; type: Exchange.Topic }
        Queue {
            id: inbox                                   // named by the broker, and deleted with the connection
            maximumLength: 100000
            QueueBinding { exchange: sensors; routingKey: "sensor.#" }
        }
        Consumer { id: consumer; objectName: "consumer"; queue: inbox; prefetch: 1000; ackMode: Amqp.AfterDelivery }
        Publisher { id: publisher; exchange: sensors.name; contentType: "application/json" }
    }
    LatestValueModel { id: latest; consumer: consumer; columns: ["json.value"]; updateInterval: 1000; maximumCount: 96 }
    MessageModel {
        id: messages
        consumer: consumer
        columns: ["timestamp", "routingKey", "json.value", "text"]
        updateInterval: 200
    }
    RateHistory { id: rateHistory; consumer: consumer }

    header: Column {
        AppBar {
            width: window.width
            title: window.title
            connection: broker
            onSettingsRequested: settings.open()
        }
        Banner {
            width: window.width
            connection: broker
            elementError: sensors.errorString || inbox.errorString || consumer.errorString || publisher.errorString
        }
    }
    footer: Tabs {
        id: tabs
        visible: window.compact
        Tab { text: qsTr("Overview"); iconName: "gauge" }
        Tab { text: qsTr("Messages"); iconName: "inbox" }
        Tab { text: qsTr("Publish"); iconName: "send" }
    }

    Flickable {
        id: scroller
        anchors.fill: parent
        boundsBehavior: Flickable.StopAtBounds
        contentHeight: Math.max(height, content.implicitHeight + 2 * Theme.large)
        ScrollBar.vertical: ScrollBar {}

        ColumnLayout {
            id: content
            x: Theme.large
            y: Theme.large
            width: scroller.width - 2 * Theme.large
            height: scroller.contentHeight - 2 * Theme.large
            spacing: Theme.large

            KpiRow {
                visible: !window.compact || window.page === 0
                Layout.fillWidth: true
                columns: window.compact ? 2 : 4
                connection: broker
                consumer: consumer
                publisher: publisher
                history: rateHistory
            }
            SensorGrid {
                visible: !window.compact || window.page === 0
                Layout.fillWidth: true
                model: latest
                limits: ({ temperature: [19.2, 22.8], humidity: [40.3, 49.7], pressure: [1009.2, 1016.8] })
            }
            Item { visible: window.compact && window.page === 0; Layout.fillHeight: true }
            RowLayout {
                visible: !window.compact || window.page !== 0
                spacing: Theme.large
                Layout.fillHeight: true
                Layout.minimumHeight: 328
                MessageTable {
                    id: table
                    visible: !window.compact || (window.page === 1 && !window.detailed)
                    Layout.fillWidth: true
                    Layout.fillHeight: true
                    messages: messages
                }
                MessageDetails {
                    visible: window.detailed && (!window.compact || window.page === 1)
                    Layout.fillWidth: window.compact
                    Layout.fillHeight: true
                    Layout.preferredWidth: 360
                    message: table.selectedMessage
                    onClosed: table.resume()
                }
                PublishPanel {
                    visible: window.compact ? window.page === 2 : window.wide || !window.detailed
                    Layout.fillWidth: window.compact
                    Layout.fillHeight: true
                    Layout.preferredWidth: 360
                    publisher: publisher
                    hint: !broker.connected ? qsTr("Not connected")
                        : broker.blocked ? qsTr("Blocked by the broker") : qsTr("Waiting for the broker")
                    onFinished: (success, text) => toast.show(success, text)
                }
            }
        }
    }
    Toast { id: toast; parent: scroller }
    SettingsDrawer { id: settings; connection: broker }
    Shortcut { sequence: "Escape"; enabled: window.detailed; onActivated: table.resume() }
    Shortcut { sequence: "Ctrl+,"; onActivated: settings.open() }
    Shortcut {
        sequence: "Ctrl+F"
        onActivated: {
            if (window.compact) {
                table.resume()      // in a compact window, the details hide the table
                window.page = 1
            }
            table.focusFilter()
        }
    }
}
