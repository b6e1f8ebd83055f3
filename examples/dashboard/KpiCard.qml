// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// One key figure. Child items appear below it.
Card {
    id: card

    required property string title
    required property real value
    property string unit
    default property alias extra: footer.data

    padding: Theme.medium
    implicitHeight: 104
    Accessible.role: Accessible.StaticText
    Accessible.name: "%1: %2 %3".arg(title).arg(number.text).arg(unit)

    ColumnLayout {
        anchors.fill: parent
        spacing: 0
        Caption {
            text: card.title
            font.pixelSize: Theme.body
            Layout.fillWidth: true
        }
        RowLayout {
            spacing: Theme.tiny
            Layout.preferredHeight: 36
            Label {
                id: number
                text: Math.round(card.value).toLocaleString(Qt.locale(), "f", 0)
                color: Theme.text
                font { pixelSize: Theme.display; bold: true; preferShaping: false }
                fontSizeMode: Text.HorizontalFit
                minimumPixelSize: Theme.heading
                Layout.maximumWidth: card.availableWidth - unitLabel.implicitWidth - Theme.tiny
                verticalAlignment: Text.AlignVCenter
            }
            Caption {
                id: unitLabel
                text: card.unit
                font.pixelSize: Theme.body
                Layout.alignment: Qt.AlignBaseline
            }
        }
        ColumnLayout {
            id: footer
            spacing: Theme.tiny
            Layout.fillWidth: true
            Layout.fillHeight: true
            Layout.minimumHeight: 24
        }
    }
}
