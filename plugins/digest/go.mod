module outboard.example/plugins/digest

go 1.22

require outboard.example/outboard v0.0.0

replace outboard.example/outboard => ../../plugin-sdk/go
