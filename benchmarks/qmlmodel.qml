// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls
import AmqpQt

// The view of qmlmodel, a table of the latest messages with the size of the one in examples/dashboard.
ApplicationWindow {
    id: window

    property url brokerUrl
    property string queueName
    property bool noAck: false

    visible: true
    width: 960
    height: 400

    Connection {
        id: broker
        url: window.brokerUrl
        active: true

        Queue { id: inbox; name: window.queueName }
        Consumer {
            id: consumer
            queue: inbox
            prefetch: 1000
            ackMode: window.noAck ? Amqp.NoAck : Amqp.AfterDelivery
        }
    }
    MessageModel {
        id: messages
        consumer: consumer
        columns: ["deliveryTag", "routingKey", "json.value", "text"]
    }
    header: Label { text: qsTr("%L1 msg/s").arg(Math.round(consumer.rate)); padding: 6 }
    TableView {
        anchors.fill: parent
        model: messages
        columnWidthProvider: column => [90, 200, 90, 580][column]
        rowHeightProvider: () => 22
        delegate: Label {
            required property var display
            text: display ?? ""
            leftPadding: 6
            verticalAlignment: Text.AlignVCenter
            textFormat: Text.PlainText
            font.preferShaping: false
        }
    }
}
