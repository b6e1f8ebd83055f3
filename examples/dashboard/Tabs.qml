// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic

// The bar at the bottom of a narrow window; its children are of type Tab.
TabBar {
    contentHeight: 56
    padding: 0
    background: Rectangle {
        color: Theme.surface
        Rectangle { width: parent.width; height: 1; color: Theme.outline }
    }
}
